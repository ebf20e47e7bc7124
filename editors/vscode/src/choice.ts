/** Asks in a list what the server wants to know: a notification's buttons hold two short words. Where
 * the entries are texts for a place in a file, the one that is looked at is drawn there. Changes no
 * text. */

import * as vscode from 'vscode'
import { ShowMessageRequest, State, type LanguageClient, type MessageActionItem, type Range } from 'vscode-languageclient/node'
import { Drawing, type Drawn } from './drawing'

/** What the server would do for an entry. */
interface Edit {
  textDocument: { uri: string; version: number }
  range: Range
  newText: string
}

type Action = MessageActionItem & { edit?: Edit }
type Entry = vscode.QuickPickItem & { action: Action }

export function asksInAList(client: LanguageClient): void {
  client.onRequest(ShowMessageRequest.type, ({ message, actions = [] }, token) => chosen(message, actions, client, token))
}

async function chosen(
  title: string,
  actions: readonly Action[],
  client: LanguageClient,
  token: vscode.CancellationToken,
): Promise<Action | null> {
  const pick = vscode.window.createQuickPick<Entry>()
  const drawing = new Drawing()
  const first = actions[0]?.edit
  const uri = first && client.protocol2CodeConverter.asUri(first.textDocument.uri).toString()

  const editors = (): vscode.TextEditor[] =>
    vscode.window.visibleTextEditors.filter(({ document }) => document.uri.toString() === uri)

  function draw(): void {
    const edit = pick.activeItems[0]?.action.edit
    for (const editor of editors()) {
      const isOfThisText = edit?.textDocument.version === editor.document.version
      drawing.draw(editor, edit && isOfThisText ? [drawn(edit, client)] : [])
    }
  }

  pick.title = title
  pick.items = actions.map(action => ({ label: action.title, action }))
  if (first) for (const editor of editors()) bringBelowTheList(editor, drawn(first, client).range, actions.length)
  pick.ignoreFocusOut = uri !== undefined // so that one may look round in the text first
  let others = vscode.Disposable.from(pick, drawing)
  const answer = await new Promise<Entry | undefined>(done => {
    others = vscode.Disposable.from(
      others,
      pick.onDidChangeActive(draw),
      pick.onDidAccept(() => done(pick.activeItems[0])),
      pick.onDidHide(() => done(undefined)),
      token.onCancellationRequested(() => done(undefined)),
      client.onDidChangeState(({ newState }) => newState === State.Stopped && done(undefined)),
      vscode.window.onDidChangeVisibleTextEditors(draw),
      vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
        if (document.uri.toString() !== uri || contentChanges.length === 0) return
        done(undefined)
        void vscode.window.showWarningMessage('Infill: The text changed, so there is nothing to choose from any more.')
      }),
    )
    pick.show()
  })
  others.dispose()
  return answer?.action ?? null
}

/** The list lies over the upper lines of the editor: what is drawn below it is seen. */
function bringBelowTheList(editor: vscode.TextEditor, range: vscode.Range, entries: number): void {
  const seen = editor.visibleRanges[0]
  const covered = entries + 4 // lines, about: the title, the input box and the margins, too
  if (seen && seen.contains(range) && range.start.line >= seen.start.line + covered) return
  editor.revealRange(range, vscode.TextEditorRevealType.InCenter)
}

function drawn({ range, newText }: Edit, client: LanguageClient): Drawn {
  return { range: client.protocol2CodeConverter.asRange(range), text: newText, settled: newText.length }
}
