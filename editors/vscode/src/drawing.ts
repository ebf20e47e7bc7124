/** Draws a text where it would stand, with what it would replace struck through. Changes no text and
 * does not know whose text it is. */

import * as vscode from 'vscode'

/** `settled` are the characters of the text, from its beginning, that will hardly change any more. */
export interface Drawn {
  range: vscode.Range
  text: string
  settled: number
}

const MOST = 200 // characters of a text that are drawn in one line of the editor
const plain = 'none; white-space: pre'

export class Drawing implements vscode.Disposable {
  private readonly text = vscode.window.createTextEditorDecorationType({
    rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed,
  })
  private readonly replaced = vscode.window.createTextEditorDecorationType({
    textDecoration: 'line-through',
    opacity: '0.5',
    rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed,
  })

  /** Takes the place of what was drawn in this editor before. */
  draw(editor: vscode.TextEditor, all: readonly Drawn[]): void {
    editor.setDecorations(this.text, all.flatMap(drawn => decorations(drawn, editor.document)))
    editor.setDecorations(this.replaced, all.map(({ range }) => range).filter(range => !range.isEmpty))
  }

  dispose(): void {
    this.text.dispose()
    this.replaced.dispose()
  }
}

/** Each line of the text behind the line that it will replace, and what is left over behind the last:
 * an editor can draw within its lines, not between them. */
function decorations({ range, text, settled }: Drawn, document: vscode.TextDocument): vscode.DecorationOptions[] {
  const lines = text.split('\n')
  const room = range.end.line - range.start.line
  const beside = [...lines.slice(0, room), lines.slice(room).join('\n')]
  const apart = range.isEmpty ? '0' : '1ch' // from what will go
  let start = 0
  return beside.flatMap((line, n) => {
    const row = range.start.line + n
    const at = row < range.end.line ? document.lineAt(row).range.end : range.end
    const sure = Math.min(Math.max(settled - start, 0), line.length)
    const indent = n > 0 ? line.search(/\S|$/) : 0
    start += line.length + 1
    return line ? decoration(line.slice(indent, sure), line.slice(Math.max(indent, sure)), apart, at) : []
  })
}

function decoration(settled: string, rest: string, apart: string, at: vscode.Position): vscode.DecorationOptions {
  return {
    range: new vscode.Range(at, at),
    renderOptions: {
      before: {
        contentText: inOneLine(settled),
        color: new vscode.ThemeColor('editor.foreground'),
        margin: settled ? `0 0 0 ${apart}` : '0',
        textDecoration: plain,
      },
      after: {
        contentText: inOneLine(rest),
        color: new vscode.ThemeColor('editorGhostText.foreground'),
        fontStyle: 'italic',
        margin: settled ? '0' : `0 0 0 ${apart}`,
        textDecoration: plain,
      },
    },
  }
}

function inOneLine(text: string): string {
  const line = text.replace(/\n[ \t]*/g, ' ⏎ ')
  return line.length > MOST ? `${line.slice(0, MOST - 1)}…` : line
}
