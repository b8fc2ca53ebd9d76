import { useCallback, useState } from "react";
import { loadSpend, type SpendReport } from "../data";
import { useLive } from "../live";
import { compare, dollars, grouped, share, ZERO } from "../money";
import { Bar, Columns } from "../parts/Charts";
import { Badge, Fact, Loaded, Panel } from "../parts/Panel";
import { Table } from "../parts/Table";
import { dearest, everyDay, type Sum, total } from "../sums";

const PERIODS = [7, 30, 90] as const;

export function Spend() {
  const [days, setDays] = useState<number>(PERIODS[1]);
  const load = useCallback((key: string, signal: AbortSignal) => loadSpend(key, signal, days), [days]);
  const report = useLive(load, 15_000);

  return (
    <Panel
      title="Spend"
      note="From the ledger, in dollars with every digit. Days are UTC."
      actions={
        <label className="choice">
          Days{" "}
          <select value={days} onChange={(event) => setDays(Number(event.target.value))}>
            {PERIODS.map((choice) => (
              <option key={choice}>{choice}</option>
            ))}
          </select>
        </label>
      }
    >
      <Loaded live={report}>{(found) => <Report report={found} />}</Loaded>
    </Panel>
  );
}

function Report({ report }: { report: SpendReport }) {
  const all = total(report.days);
  if (all.calls === 0) return <p className="empty">No call was made in this time.</p>;
  const days = everyDay(report.days, report.first, report.last);
  return (
    <>
      {report.partial && (
        <p className="empty">
          Only the newest {grouped(String(all.calls))} calls of this time are added up here; older ones are in the ledger.
        </p>
      )}
      <dl className="facts">
        <Fact name="Spent">{dollars(all.spend)}</Fact>
        <Fact name="Calls">{grouped(String(all.calls))}</Fact>
        <Fact name="Tokens">{grouped(String(all.tokens))}</Fact>
        <Fact name="Calls without a price" tone={all.unpriced ? "warn" : "plain"}>
          {grouped(String(all.unpriced))}
        </Fact>
        {report.reconciled !== null && (
          <Fact name="Ledger and budgets" tone={report.reconciled ? "good" : "bad"}>
            {report.reconciled ? "agree" : "differ"}
          </Fact>
        )}
      </dl>
      {all.unpriced > 0 && (
        <p className="note">Unpriced calls went to deployments without a price: their cost is unknown, not zero, and not in the sums.</p>
      )}
      <h3>By day</h3>
      <Columns days={days} />
      <details>
        <summary>Days as a table</summary>
        <Sums caption="Spend by day" title="Day" parts={[...report.days].sort((a, b) => b.name.localeCompare(a.name))} />
      </details>
      <h3>By model</h3>
      <Sums caption="Spend by model" title="Model" parts={dearest(report.models)} />
      <h3>By team</h3>
      <Sums
        caption="Spend by team"
        title="Team"
        parts={dearest(report.teams).map((sum) => ({ ...sum, name: sum.name || "no team" }))}
      />
    </>
  );
}

function Sums({ caption, title, parts }: { caption: string; title: string; parts: readonly Sum[] }) {
  const most = parts.reduce((found, part) => (compare(part.spend, found) > 0 ? part.spend : found), ZERO);
  return (
    <Table
      caption={caption}
      columns={[
        { title, heads: true, cell: (part) => part.name || "none" },
        {
          title: "Share",
          cell: (part) => <Bar part={share(part.spend, most)} label={`${dollars(part.spend)}; the most is ${dollars(most)}`} />,
        },
        {
          title: "Spend",
          number: true,
          cell: (part) => (part.unpriced === part.calls && part.calls > 0 ? <Badge tone="warn">unpriced</Badge> : dollars(part.spend)),
        },
        { title: "Unpriced calls", number: true, cell: (part) => grouped(String(part.unpriced)) },
        { title: "Calls", number: true, cell: (part) => grouped(String(part.calls)) },
        { title: "Tokens", number: true, cell: (part) => grouped(String(part.tokens)) },
      ]}
      items={parts}
      id={(part) => part.name}
      empty="Nothing yet."
    />
  );
}
