import { useCallback, useRef, useState } from "react";
import { learnNames, loadCalls, type Names, short, whoCalled } from "../data";
import { useLive } from "../live";
import { decimal, dollars, grouped } from "../money";
import { Badge, Loaded, Panel } from "../parts/Panel";
import { type Column, Table } from "../parts/Table";
import type { Call } from "../types";

const SIZES = [25, 100, 500] as const;

/** The newest calls, each with why it went where it went. */
export function Decisions() {
  const [size, setSize] = useState<number>(SIZES[0]);
  const names = useRef<Names>(new Map());
  const load = useCallback(
    async (key: string, signal: AbortSignal) => {
      const page = await loadCalls(key, signal, size);
      await learnNames(key, signal, page.items, names.current);
      return page;
    },
    [size],
  );
  const calls = useLive(load, 5_000);
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const toggle = (id: string) => {
    const next = new Set(open);
    if (!next.delete(id)) next.add(id);
    setOpen(next);
  };

  return (
    <Panel
      title="Decisions"
      note="The newest calls: who asked for what, who answered, and why."
      actions={
        <label className="choice">
          Rows{" "}
          <select value={size} onChange={(event) => setSize(Number(event.target.value))}>
            {SIZES.map((choice) => (
              <option key={choice}>{choice}</option>
            ))}
          </select>
        </label>
      }
    >
      <Loaded live={calls}>
        {({ items, more }) => (
          <>
            <Table
              caption="Recent calls, the newest first"
              columns={columnsOf(names.current, open, toggle)}
              items={items}
              id={(call) => call.request_id}
              empty="No call has been made yet. The first one appears here by itself."
              details={(call) => (open.has(call.request_id) ? <Details call={call} /> : null)}
            />
            {more && <p className="count">Older calls are in the ledger: GET /spend/logs.</p>}
          </>
        )}
      </Loaded>
    </Panel>
  );
}

function columnsOf(names: Names, open: ReadonlySet<string>, toggle: (id: string) => void): Column<Call>[] {
  return [
    {
      title: "When",
      cell: (call) => <When instant={call.startTime} />,
    },
    { title: "Who", heads: true, cell: (call) => <span title={call.api_key}>{whoCalled(call, names)}</span> },
    { title: "Asked", cell: (call) => call.model },
    {
      title: "Answered by",
      cell: (call) => (
        <>
          {call.status === "success" ? (call.model_group ?? "–") : "nobody"}
          {call.status !== "success" && (
            <>
              {" "}
              <Badge tone="bad">{`${call.http_status ?? ""} ${call.outcome ?? "failed"}`.trim()}</Badge>
            </>
          )}
          {Boolean(call.metadata.decision?.cached) && (
            <>
              {" "}
              <Badge tone="good">cached</Badge>
            </>
          )}
        </>
      ),
    },
    { title: "Strategy", cell: (call) => call.metadata.decision?.strategy || "–" },
    { title: "Score", number: true, cell: (call) => score(call.metadata.decision?.score) },
    {
      title: "Reason",
      cell: (call) => (
        <button
          type="button"
          className="reason"
          aria-expanded={open.has(call.request_id)}
          onClick={() => toggle(call.request_id)}
        >
          {call.metadata.decision?.reason || "no decision was made"}
        </button>
      ),
    },
    { title: "Passed over", cell: (call) => passedOver(call) },
    { title: "Cost", number: true, cell: (call) => <Cost call={call} /> },
    {
      title: "Tokens",
      number: true,
      cell: (call) => (
        <span title={`${call.prompt_tokens} in, ${call.completion_tokens} out`}>
          {call.estimated ? "≈ " : ""}
          {grouped(call.total_tokens)}
        </span>
      ),
    },
    { title: "Duration", number: true, cell: (call) => `${grouped(call.request_duration_ms)} ms` },
  ];
}

/** Local time, the date smaller: rows of one day differ by their time. */
function When({ instant }: { instant: string }) {
  const at = new Date(instant);
  const two = (value: number) => String(value).padStart(2, "0");
  return (
    <time className="when" dateTime={instant} title={instant}>
      {`${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`}
      <small>{` ${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`}</small>
    </time>
  );
}

function Cost({ call }: { call: Call }) {
  const amount = decimal(call.spend);
  return amount ? dollars(amount) : <Badge tone="warn">unpriced</Badge>;
}

/** Scores are measurements, not money: four digits are enough, all of them are in the details. */
function score(value: string | null | undefined): string {
  return value == null ? "–" : String(Number(Number(value).toPrecision(4)));
}

function passedOver(call: Call): string {
  const names = call.metadata.decision?.passed_over?.map((item) => item.deployment) ?? [];
  return names.length > 2 ? `${names.slice(0, 2).join(", ")} and ${names.length - 2} more` : names.join(", ") || "–";
}

function Details({ call }: { call: Call }) {
  const decision = call.metadata.decision;
  const list = (items: readonly string[]) => (
    <ol>
      {items.map((item, index) => (
        <li key={index}>{item}</li>
      ))}
    </ol>
  );
  const facts: [string, React.ReactNode][] = [
    ["Request", <code>{call.request_id}</code>],
    ["Key", <code>{call.api_key}</code>],
    ["Kind", `${call.call_type}${call.stream ? ", streamed" : ""}`],
    ["Group and deployment", `${call.model_group ?? "none"}, ${call.model_id ?? "none answered"}`],
    ["Tokens", `${grouped(call.prompt_tokens)} in, ${grouped(call.completion_tokens)} out${call.estimated ? " (estimated)" : ""}`],
  ];
  if (call.trace_id) facts.push(["Trace", <code>{call.trace_id}</code>]);
  if (decision) {
    if (decision.balancing) facts.push(["Balancing", decision.balancing]);
    if (decision.ms) facts.push(["Decided in", `${decision.ms} ms`]);
    if (decision.artifact) facts.push(["Artifact", <code title={decision.artifact}>{short(decision.artifact)}</code>]);
    if (decision.ranking?.length) {
      facts.push(["Ranking", list(decision.ranking.map((item) => `${item.group}${item.score == null ? "" : `: ${item.score}`}`))]);
    }
    if (decision.passed_over?.length) {
      facts.push(["Passed over", list(decision.passed_over.map((item) => `${item.deployment}: ${item.reason}`))]);
    }
    if (decision.attempts?.length) {
      facts.push(["Attempts", list(decision.attempts.map((item) => `${item.deployment}: ${item.outcome}, ${item.ms} ms`))]);
    }
    if (decision.policy != null) facts.push(["Policy", <code>{JSON.stringify(decision.policy)}</code>]);
    if (decision.cached != null) facts.push(["Cache", <code>{JSON.stringify(decision.cached)}</code>]);
  }
  return (
    <dl className="pairs">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
