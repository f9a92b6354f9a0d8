/**
 * Places in a text.
 *
 * The server counts characters, and JavaScript halves of those beyond the first 65 536.
 */

/** Characters before a place that JavaScript counts. */
export function characters(text: string, place: number): number {
  return [...text.slice(0, place)].length;
}

/** Where JavaScript finds a place that is counted in characters. */
export function place(text: string, count: number): number {
  return [...text].slice(0, count).join('').length;
}

/** Where a line and a column, both from 1, stand; the beginning if nobody knows. */
export function placeOf(text: string, line: number, column: number): number {
  if (line < 1) {
    return 0;
  }
  const lines = text.split('\n');
  const before = lines.slice(0, line - 1).join('\n').length;
  const start = line > 1 ? before + 1 : 0;
  return Math.min(
    start + place(lines[line - 1] ?? '', column - 1),
    text.length
  );
}

const WORD = /^(?:"[^"]*"?|[\p{L}\w])(?:\.?(?:"[^"]*"?|[\p{L}\w]))*/u;

/** Where the name, or else the character, that begins at a place ends. */
export function wordEnd(text: string, start: number): number {
  const rest = text.slice(start);
  const word = WORD.exec(rest)?.[0] ?? [...rest][0] ?? '';
  return start + word.length;
}
