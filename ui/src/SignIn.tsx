import { type FormEvent, useState } from "react";
import { ApiError } from "./api";
import { loadModels } from "./data";

interface Properties {
  /** Why the last session ended, if it did. */
  readonly why: string;
  readonly enter: (key: string, keep: boolean) => void;
}

/** Asks for a key and tries it. It stays in this page's memory, or in this tab if the operator says so. */
export function SignIn({ why, enter }: Properties) {
  const [key, setKey] = useState("");
  const [keep, setKeep] = useState(false);
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const shown = error || why;

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const given = key.trim();
    if (!/^[\x21-\x7e]+$/.test(given)) return setError("A key has letters, digits and signs, and no spaces.");
    setBusy(true);
    setError("");
    try {
      await loadModels(given);
      enter(given, keep);
    } catch (failure) {
      setError(failure instanceof ApiError ? failure.message : "The console could not read the answer.");
      setBusy(false);
    }
  };

  return (
    <main className="signin">
      <form className="panel" onSubmit={(event) => void submit(event)}>
        <Wordmark />
        <h1>Operator console</h1>
        <p className="note">Read-only. It takes an admin's or a viewer's key.</p>
        <label htmlFor="key">API key</label>
        <input
          id="key"
          type="password"
          autoComplete="off"
          spellCheck={false}
          autoFocus
          required
          value={key}
          onChange={(event) => setKey(event.target.value)}
          aria-invalid={Boolean(shown)}
          aria-describedby={shown ? "why" : undefined}
        />
        <label className="check">
          <input type="checkbox" checked={keep} onChange={(event) => setKeep(event.target.checked)} />
          Keep it until this tab is closed
        </label>
        {shown && (
          <p id="why" className="failure" role="alert">
            {shown}
          </p>
        )}
        <button type="submit" disabled={busy}>
          {busy ? "Asking the gateway …" : "Sign in"}
        </button>
      </form>
    </main>
  );
}

export function Wordmark() {
  return (
    <span className="wordmark">
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <path d="M4 19 V5 h7 a4.5 4.5 0 0 1 0 9 H4 M11 14 l7 5" />
        <circle cx="20" cy="5" r="2" />
      </svg>
      RouteIQ
    </span>
  );
}
