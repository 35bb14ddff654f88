/** Which part of a model a node was made for, so that what is computed can be told in the user's words. */

let current: string | undefined

/** The path of the layer that is being applied, such as `layer1.0.conv1`. */
export function currentOrigin(): string | undefined {
  return current
}

/** Nodes made by `body` bear this path; those of layers inside have their own. */
export function withOrigin<T>(path: string | undefined, body: () => T): T {
  const outer = current
  current = path
  try {
    return body()
  } finally {
    current = outer
  }
}
