import { useCallback, useState } from "react";
import { keyId, keyName, loadKeys, loadTeams, optional } from "../data";
import { useLive } from "../live";
import { decimal, dollars, grouped, percent, share, ZERO } from "../money";
import { Bar } from "../parts/Charts";
import { Badge, Loaded, Panel } from "../parts/Panel";
import { type Column, Table } from "../parts/Table";
import type { Key, Team } from "../types";

type Holder = Key | Team;

const loadAllTeams = (key: string, signal: AbortSignal) => optional(loadTeams(key, signal));

export function Keys() {
  const [page, setPage] = useState(1);
  const load = useCallback((key: string, signal: AbortSignal) => loadKeys(key, signal, page), [page]);
  const keys = useLive(load, 10_000);
  const teams = useLive(loadAllTeams, 30_000);
  const aliases = new Map((teams.value ?? []).map((team) => [team.team_id, team.team_alias || team.team_id]));
  const pages = Math.max(1, Number(keys.value?.total_pages ?? 1));

  return (
    <>
      <Panel title="Keys" note="Spend is that of the budget's current period.">
        <Loaded live={keys}>
          {(found) => (
            <>
              <p className="count">{grouped(found.total_count)} in all</p>
              <Table
                caption="Keys"
                columns={[
                  { title: "Key", heads: true, cell: (key) => <KeyName item={key} /> },
                  { title: "Team", cell: (key) => (key.team_id ? (aliases.get(key.team_id) ?? key.team_id) : "–") },
                  ...standing<Key>(),
                  { title: "Expires", cell: (key) => (key.expires ? new Date(key.expires).toLocaleString() : "never") },
                ]}
                items={found.keys}
                id={keyId}
                empty="No keys yet: make one with POST /key/generate."
              />
              {pages > 1 && (
                <nav className="pages" aria-label="Pages of keys">
                  <button type="button" disabled={page <= 1} onClick={() => setPage(page - 1)}>
                    Previous
                  </button>
                  <span>
                    Page {page} of {pages}
                  </span>
                  <button type="button" disabled={page >= pages} onClick={() => setPage(page + 1)}>
                    Next
                  </button>
                </nav>
              )}
            </>
          )}
        </Loaded>
      </Panel>
      {teams.value !== null && (
        <Panel title="Teams">
          <Table
            caption="Teams"
            columns={[{ title: "Team", heads: true, cell: (team) => team.team_alias || team.team_id }, ...standing<Team>()]}
            items={teams.value}
            id={(team) => team.team_id}
            empty="No teams yet: make one with POST /team/new."
          />
        </Panel>
      )}
    </>
  );
}

function KeyName({ item }: { item: Key }) {
  return (
    <>
      {keyName(item)}
      {item.role && (
        <>
          {" "}
          <Badge tone="plain">{item.role}</Badge>
        </>
      )}
      {item.key_alias && item.key_name && <code className="why"> {item.key_name}</code>}
    </>
  );
}

function standing<T extends Holder>(): Column<T>[] {
  return [
    { title: "Spend", number: true, cell: (item) => dollars(decimal(item.spend) ?? ZERO) },
    { title: "Budget", cell: (item) => <Budget item={item} /> },
    { title: "Limits", cell: (item) => limits(item) || "none" },
    { title: "Models", cell: (item) => item.models.join(", ") || "all" },
    {
      title: "State",
      cell: (item) => (item.blocked ? <Badge tone="bad">blocked</Badge> : <Badge tone="good">active</Badge>),
    },
  ];
}

function Budget({ item }: { item: Holder }) {
  const budget = decimal(item.max_budget);
  if (!budget) return <>no budget</>;
  const spend = decimal(item.spend) ?? ZERO;
  const used = share(spend, budget);
  const said = percent(spend, budget);
  return (
    <div className="budget">
      <Bar part={used} label={`${said} of the budget is spent`} tone={used >= 1 ? "bad" : used >= 0.8 ? "warn" : ""} />
      <span>
        {said} of {dollars(budget)}
        {item.budget_duration && ` per ${item.budget_duration}`}
      </span>
    </div>
  );
}

function limits(item: Holder): string {
  return [
    item.rpm_limit != null && `${grouped(item.rpm_limit)} requests/min`,
    item.tpm_limit != null && `${grouped(item.tpm_limit)} tokens/min`,
    item.max_parallel_requests != null && `${grouped(item.max_parallel_requests)} at once`,
  ]
    .filter(Boolean)
    .join(", ");
}
