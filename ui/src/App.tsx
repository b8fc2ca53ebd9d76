import { type ComponentType, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { type Session, SessionContext } from "./live";
import { SignIn, Wordmark } from "./SignIn";
import { Decisions } from "./views/Decisions";
import { Health } from "./views/Health";
import { Keys } from "./views/Keys";
import { Models } from "./views/Models";
import { Spend } from "./views/Spend";

const KEPT = "routeiq-key";

const VIEWS: readonly { name: string; title: string; View: ComponentType }[] = [
  { name: "overview", title: "Overview", View: Overview },
  { name: "models", title: "Models", View: Models },
  { name: "decisions", title: "Decisions", View: Decisions },
  { name: "keys", title: "Keys", View: Keys },
  { name: "spend", title: "Spend", View: Spend },
];

function Overview() {
  return (
    <>
      <Health />
      <Models />
      <Decisions />
    </>
  );
}

/** The console: a form for the key, then one view at a time; the address names the view and nothing else. */
export function App() {
  const [key, setKey] = useState(() => sessionStorage.getItem(KEPT) ?? "");
  const [why, setWhy] = useState("");
  const [paused, setPaused] = useState(false);
  const leave = useCallback((reason: string) => {
    sessionStorage.removeItem(KEPT);
    setKey("");
    setWhy(reason);
  }, []);
  const session = useMemo<Session>(() => ({ key, paused, reject: leave }), [key, paused, leave]);
  const view = useView();

  if (!key) {
    const enter = (given: string, keep: boolean) => {
      if (keep) sessionStorage.setItem(KEPT, given);
      setWhy("");
      setKey(given);
    };
    return <SignIn why={why} enter={enter} />;
  }
  const { title, View } = view;
  return (
    <SessionContext.Provider value={session}>
      <a className="skip" href={`#${view.name}`} onClick={() => document.getElementById("content")?.focus()}>
        Skip to the content
      </a>
      <header className="top">
        <Wordmark />
        <nav aria-label="Views">
          {VIEWS.map((item) => (
            <a key={item.name} href={`#${item.name}`} aria-current={item === view ? "page" : undefined}>
              {item.title}
            </a>
          ))}
        </nav>
        <div className="actions">
          <button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
            <span className={paused ? "dot off" : "dot"} aria-hidden="true" />
            {paused ? "Paused" : "Live"}
          </button>
          <button type="button" onClick={() => leave("")}>
            Sign out
          </button>
        </div>
      </header>
      <main id="content" tabIndex={-1}>
        <h1 className="unseen">{title}</h1>
        <View />
      </main>
      <footer>
        <p>
          Read-only. Nothing on this page comes from outside this gateway. <a href="/ui/licences.txt">Licences</a>
        </p>
      </footer>
    </SessionContext.Provider>
  );
}

function useView() {
  const named = () => VIEWS.find((item) => `#${item.name}` === location.hash) ?? VIEWS[0]!;
  const [view, setView] = useState(named);
  const first = useRef(true);
  useEffect(() => {
    const moved = () => setView(named());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  useEffect(() => {
    document.title = `${view.title} – RouteIQ console`;
    if (!first.current) document.getElementById("content")?.focus();
    first.current = false;
  }, [view]);
  return view;
}
