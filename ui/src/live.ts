/** Reads something again and again while the page is visible. */

import { createContext, useCallback, useContext, useEffect, useRef, useState } from "react";
import { ApiError } from "./api";

export interface Session {
  readonly key: string;
  readonly paused: boolean;
  /** Called when the gateway no longer accepts the key. */
  readonly reject: (why: string) => void;
}

export const SessionContext = createContext<Session>({ key: "", paused: false, reject: () => undefined });

export interface Live<T> {
  readonly value: T | null;
  readonly error: ApiError | null;
  /** When `value` arrived. */
  readonly at: Date | null;
  readonly refresh: () => void;
}

type Load<T> = (key: string, signal: AbortSignal) => Promise<T>;

const SLOWEST = 60_000;

/** Load now and then every `every` ms (0: only when asked); an error doubles the pause. `load` must not change. */
export function useLive<T>(load: Load<T>, every: number): Live<T> {
  const { key, paused, reject } = useContext(SessionContext);
  const [state, setState] = useState<Omit<Live<T>, "refresh">>({ value: null, error: null, at: null });
  const [turn, setTurn] = useState(0);
  const failures = useRef(0);
  const refresh = useCallback(() => setTurn((before) => before + 1), []);

  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;

    const again = () => {
      if (every === 0 || paused) return;
      timer = setTimeout(read, Math.min(every * 2 ** failures.current, Math.max(SLOWEST, every)));
    };
    const read = async () => {
      if (document.hidden) return again();
      try {
        const value = await load(key, abort.signal);
        failures.current = 0;
        setState({ value, error: null, at: new Date() });
      } catch (error) {
        if (abort.signal.aborted) return;
        const known = error instanceof ApiError ? error : new ApiError(0, "The console could not read the answer.");
        if (known.status === 401) return reject(known.message);
        failures.current += 1;
        setState((before) => ({ ...before, error: known }));
      }
      again();
    };

    void read();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [load, every, key, paused, turn, reject]);

  return { ...state, refresh };
}
