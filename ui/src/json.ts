/** JSON in which every number keeps its digits: `0.1` becomes the string "0.1", never the nearest binary fraction. */

const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/gs;

/** Parse JSON; numbers become strings as they were written. Raises SyntaxError. */
export function parseExact(text: string): unknown {
  return JSON.parse(text.replace(TOKEN, (token) => (token.startsWith('"') ? token : `"${token}"`)));
}
