/** The whole text of an error as a user reads it; tests assert all of it. */
export function errorText(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (error instanceof Error) return `${error.name}: ${error.message}`
    throw error
  }
  throw new Error('expected an error, none was thrown')
}
