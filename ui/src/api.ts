/** Reads the management API. The key goes into a header that this script sets, never into an address or a cookie. */

import { parseExact } from "./json";

/** What went wrong, in words for an operator. `status` 0: no answer at all. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly requestId: string | null = null,
  ) {
    super(message);
  }
}

export interface Answer<T> {
  readonly value: T;
  readonly headers: Headers;
}

/** GET a path. `also` lists statuses whose body is an answer too. Raises `ApiError`. */
export async function get<T>(
  key: string,
  path: string,
  signal?: AbortSignal,
  also: readonly number[] = [],
): Promise<Answer<T>> {
  let response: Response;
  try {
    response = await fetch(path, {
      // The browser's own credential (the one that opened the page) is kept out: the key alone says who asks.
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
      referrerPolicy: "no-referrer",
      headers: { authorization: `Bearer ${key}`, accept: "application/json" },
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "The gateway does not answer. Is it running, and is this machine still connected to it?");
  }
  const text = await response.text();
  let body: unknown = null;
  try {
    body = parseExact(text);
  } catch {
    if (response.ok) throw new ApiError(response.status, "The gateway's answer is no JSON.");
  }
  if (!response.ok && !also.includes(response.status)) {
    throw new ApiError(response.status, explained(response, path, said(body)), response.headers.get("x-request-id"));
  }
  return { value: body as T, headers: response.headers };
}

function said(body: unknown): string {
  const error = (body as { error?: { message?: unknown } } | null)?.error;
  return typeof error?.message === "string" ? error.message : "";
}

function explained(response: Response, path: string, message: string): string {
  const more = message ? ` The gateway says: ${message}` : "";
  switch (response.status) {
    case 401:
      return `The gateway does not accept this key.${more}`;
    case 403:
      return `This key may not see the console: it takes an admin's or a viewer's key.${more}`;
    case 404:
      return `This gateway does not have this page's source yet (${path.replace(/\?.*/, "")}).`;
    case 429: {
      const wait = response.headers.get("retry-after");
      return `Too many requests${wait ? `; the gateway asks to wait ${wait} s` : ""}.${more}`;
    }
    case 503:
      return `The gateway cannot answer now; it goes on trying.${more}`;
    default:
      return `The gateway answered with status ${response.status}.${more}`;
  }
}
