/** How many columns of a terminal a text takes: Chinese and Japanese characters and emoji take two, accents none. */

const plain = /^[\u0020-\u007e]*$/
const wide =
  /[\u1100-\u115f\u2329\u232a\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1faff}\u{20000}-\u{3fffd}]/u
const none = /[\p{Mn}\p{Me}\p{Cf}\p{Cc}]/u

function widthOf(character: string): number {
  return wide.test(character) ? 2 : none.test(character) ? 0 : 1
}

/** Columns that a text without control sequences takes. */
export function textWidth(text: string): number {
  if (plain.test(text)) return text.length
  let width = 0
  for (const character of text) width += widthOf(character)
  return width
}

/** Blanks behind the text, to `width` columns. */
export function padEnd(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - textWidth(text)))
}

/** Blanks before the text, to `width` columns. */
export function padStart(text: string, width: number): string {
  return ' '.repeat(Math.max(0, width - textWidth(text))) + text
}

/** At most `width` columns: what is too long loses its end, `a long na…`. */
export function cutEnd(text: string, width: number): string {
  if (textWidth(text) <= width) return text
  return width < 1 ? '' : `${take([...text], width - 1).join('')}…`
}

/** At most `width` columns: what is too long loses its beginning, as suits paths, `…photos/cat.png`. */
export function cutStart(text: string, width: number): string {
  if (textWidth(text) <= width) return text
  return width < 1
    ? ''
    : `…${take([...text].reverse(), width - 1)
        .reverse()
        .join('')}`
}

/** As many of the characters as fit. */
function take(characters: readonly string[], width: number): string[] {
  let used = 0
  const taken: string[] = []
  for (const character of characters) {
    used += widthOf(character)
    if (used > width) break
    taken.push(character)
  }
  return taken
}
