// Talking to the server: JSON both ways. Away is not the same as refused: the first is tried again.

export class Away extends Error {}
export class Refused extends Error {}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options });
  } catch {
    throw new Away("The server does not answer");
  }
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const why = body.error ?? body.detail ?? response.statusText;
  const words = typeof why === "string" ? why : JSON.stringify(why);
  if ([401, 403, 429].includes(response.status) || response.status >= 500) throw new Away(words.replace(/\.$/, ""));
  throw new Refused(words);
}

export const get = path => ask(path);

/** With `leaving` it is sent although the page is closed meanwhile. */
export const post = (path, body, { leaving = false } = {}) => ask(path, {
  method: "POST",
  keepalive: leaving,
  headers: { "Content-Type": "application/json", "X-Trapline-Review": "1" },
  body: JSON.stringify(body),
});
