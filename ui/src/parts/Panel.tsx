import { type ReactNode, useId } from "react";
import type { ApiError } from "../api";
import type { Live } from "../live";

interface Properties {
  readonly title: string;
  readonly note?: ReactNode;
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}

export function Panel({ title, note, actions, children }: Properties) {
  const id = useId();
  return (
    <section className="panel" aria-labelledby={id}>
      <header>
        <div>
          <h2 id={id}>{title}</h2>
          {note && <p className="note">{note}</p>}
        </div>
        {actions}
      </header>
      {children}
    </section>
  );
}

/** Shows what was loaded; before that, that it loads; after an error, the error over what was there last. */
export function Loaded<T>({ live, children }: { live: Live<T>; children: (value: T) => ReactNode }) {
  return (
    <>
      {live.error && <Failure error={live.error} at={live.value === null ? null : live.at} retry={live.refresh} />}
      {live.value !== null ? children(live.value) : !live.error && <p className="empty">Loading …</p>}
    </>
  );
}

function Failure({ error, at, retry }: { error: ApiError; at: Date | null; retry: () => void }) {
  return (
    <div className="failure" role="alert">
      <p>
        <strong>{error.status === 0 ? "No answer." : `Status ${error.status}.`}</strong> {error.message}
        {at && ` Shown is what was known at ${at.toLocaleTimeString()}.`}
        {error.requestId && (
          <>
            {" "}
            Request <code>{error.requestId}</code>.
          </>
        )}
      </p>
      <button type="button" onClick={retry}>
        Try again
      </button>
    </div>
  );
}

export type Tone = "good" | "bad" | "warn" | "off" | "plain";

/** A state in a word; its colour only repeats it. */
export function Badge({ tone, children }: { tone: Tone; children: ReactNode }) {
  return <span className={`badge ${tone}`}>{children}</span>;
}

export function Fact({ name, tone, children }: { name: string; tone?: Tone; children: ReactNode }) {
  return (
    <div className={`fact ${tone ?? ""}`}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
