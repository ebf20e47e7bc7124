/** The item in the status bar: what the server does, and why nothing is shown. Knows no client. */

import * as vscode from 'vscode'

/** How the server answers to `infill.status`. */
export interface Answer {
  model: string
  choice: string | null
  enabled: boolean
  loading: boolean
  ready: boolean
  failure: string | null
}

interface Look {
  icon: string
  words: string
  detail: string
  isBad?: boolean
}

export class StatusItem implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem('status', vscode.StatusBarAlignment.Right)
  private look: Look = { icon: 'circle-slash', words: 'off', detail: 'The server does not run.' }
  private asked = 0
  private reason = ''

  constructor() {
    this.item.name = 'Infill'
    this.item.command = 'infill.menu'
    this.draw()
    this.item.show()
  }

  /** In words, for the menu. */
  get sentence(): string {
    return [this.look.detail, this.reason].filter(Boolean).join(' ')
  }

  starting(): void {
    this.show({ icon: 'loading~spin', words: 'starting', detail: 'The server starts.' })
  }

  stopped(detail: string, isBad: boolean): void {
    this.show({ icon: isBad ? 'warning' : 'circle-slash', words: isBad ? 'stopped' : 'off', detail, isBad })
  }

  answered(answer: Answer): void {
    const model = answer.choice ?? `The model is ${answer.model}.`
    if (!answer.enabled) this.show({ icon: 'circle-slash', words: 'off', detail: 'Switched off in the settings.' })
    else if (answer.loading) this.show({ icon: 'loading~spin', words: 'loading', detail: `${model} It is being loaded.` })
    else if (answer.failure) this.show({ icon: 'warning', words: 'no model', detail: answer.failure, isBad: true })
    else if (answer.ready) this.show({ icon: 'check', words: 'ready', detail: model })
    else this.show({ icon: 'circle-slash', words: 'no model', detail: 'No model is loaded.' })
  }

  /** Shows that the model is asked for as long as `work` lasts, however it ends. */
  async while<T>(work: () => T | PromiseLike<T>): Promise<T> {
    this.asked += 1
    this.draw()
    try {
      return await work()
    } finally {
      this.asked -= 1
      this.draw()
    }
  }

  because(reason: string): void {
    this.reason = reason
    this.draw()
  }

  dispose(): void {
    this.item.dispose()
  }

  private show(look: Look): void {
    this.look = look
    this.draw()
  }

  private draw(): void {
    const { icon, words, isBad } = this.look
    this.item.text = `$(${this.asked > 0 ? 'loading~spin' : icon}) Infill: ${this.asked > 0 ? 'filling' : words}`
    this.item.tooltip = this.sentence
    this.item.backgroundColor = isBad ? new vscode.ThemeColor('statusBarItem.warningBackground') : undefined
  }
}
