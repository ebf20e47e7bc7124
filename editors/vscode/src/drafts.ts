/** Drafts in the editor while the server writes: what has settled, the rest of it, and what both
 * will replace. Gone once they are final, given up, or the text changes. Changes no text. */

import * as vscode from 'vscode'
import { State, type LanguageClient, type Range } from 'vscode-languageclient/node'
import { Drawing, type Drawn } from './drawing'

interface Hole {
  id: string | number
  range: Range
  text: string
  frozen: [start: number, length: number][]
}

/** What `infill/canvas` tells: all there is, each time. */
interface Told {
  id: string
  uri: string
  version: number
  holes: Hole[]
  final?: true
  cancelled?: true
}

interface Canvas {
  told: Told
  client: LanguageClient
  isOver: boolean // what else comes of it is not drawn
}

export class Drafts implements vscode.Disposable {
  private readonly canvases = new Map<string, Canvas>() // by the document's URI
  private readonly drawing = new Drawing()
  private readonly others = vscode.Disposable.from(
    this.drawing,
    vscode.window.onDidChangeVisibleTextEditors(() => this.draw()),
    vscode.window.onDidChangeActiveTextEditor(() => this.draw()),
    // The server hears of the change, too, gives up and says so.
    vscode.workspace.onDidChangeTextDocument(event => {
      if (event.contentChanges.length > 0) this.leave(event.document.uri)
    }),
    vscode.commands.registerCommand('infill.giveUpHere', () => this.giveUp()),
  )

  /** Draws what this client hears, until it ends. */
  follow(client: LanguageClient): void {
    client.onNotification('infill/canvas', (told: Told) => this.hear(told, client))
    client.onDidChangeState(({ newState }) => {
      if (newState !== State.Stopped) return
      for (const [uri, canvas] of this.canvases) if (canvas.client === client) this.canvases.delete(uri)
      this.draw()
    })
  }

  dispose(): void {
    this.others.dispose()
  }

  private hear(told: Told, client: LanguageClient): void {
    const uri = client.protocol2CodeConverter.asUri(told.uri).toString()
    const known = this.canvases.get(uri)
    const isKnown = known?.told.id === told.id
    if (told.final || told.cancelled) {
      if (isKnown) this.canvases.delete(uri)
    } else if (!isKnown) {
      this.canvases.set(uri, { told, client, isOver: false })
    } else if (!known.isOver) {
      known.told = told
    }
    this.draw()
  }

  private async giveUp(): Promise<void> {
    const uri = vscode.window.activeTextEditor?.document.uri
    const canvas = uri && this.leave(uri)
    if (!canvas?.client.isRunning()) return
    const params = { command: 'infill.cancel', arguments: [canvas.told.uri] }
    await canvas.client.sendRequest('workspace/executeCommand', params)
  }

  private leave(uri: vscode.Uri): Canvas | undefined {
    const canvas = this.canvases.get(uri.toString())
    if (canvas) {
      canvas.isOver = true
      this.draw()
    }
    return canvas
  }

  private draw(): void {
    for (const editor of vscode.window.visibleTextEditors) {
      const canvas = this.canvasIn(editor)
      this.drawing.draw(editor, canvas?.told.holes.map(hole => drawn(hole, canvas.client)) ?? [])
    }
    const active = vscode.window.activeTextEditor
    const isDrafting = active !== undefined && this.canvasIn(active) !== undefined
    void vscode.commands.executeCommand('setContext', 'infill.drafting', isDrafting)
  }

  private canvasIn({ document }: vscode.TextEditor): Canvas | undefined {
    const canvas = this.canvases.get(document.uri.toString())
    return canvas && !canvas.isOver && canvas.told.version === document.version ? canvas : undefined
  }
}

function drawn({ range, text, frozen }: Hole, client: LanguageClient): Drawn {
  const [start, length] = frozen[0] ?? [0, 0]
  return { range: client.protocol2CodeConverter.asRange(range), text, settled: start === 0 ? length : 0 }
}
