import { useContext, useMemo, useState } from "react";
import { ApiError } from "../api";
import { loadChecks, loadModels } from "../data";
import { SessionContext, useLive } from "../live";
import { Badge, Loaded, Panel, type Tone } from "../parts/Panel";
import { type Column, Table } from "../parts/Table";
import type { Checks, Deployment, Endpoint } from "../types";

/** Groups and their deployments; `/health` asks each upstream, so it is asked only by hand. */
export function Models() {
  const models = useLive(loadModels, 10_000);
  const { key, reject } = useContext(SessionContext);
  const [checks, setChecks] = useState<Checks | null>(null);
  const [said, setSaid] = useState("");
  const [busy, setBusy] = useState(false);

  const check = async () => {
    setBusy(true);
    setSaid("Asking every deployment …");
    try {
      const found = await loadChecks(key, new AbortController().signal);
      setChecks(found);
      const bad = found.unhealthy_endpoints.length;
      setSaid(`${found.healthy_endpoints.length} healthy, ${bad} not, at ${new Date().toLocaleTimeString()}.`);
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) reject(error.message);
      setSaid(error instanceof ApiError ? error.message : "The console could not read the answer.");
    } finally {
      setBusy(false);
    }
  };

  return (
    <Panel
      title="Models"
      note="Groups that callers ask for, and the deployments that answer."
      actions={
        <div className="actions">
          <span role="status" className="note">
            {said}
          </span>
          <button type="button" onClick={() => void check()} disabled={busy}>
            Check health
          </button>
        </div>
      }
    >
      <Loaded live={models}>{(deployments) => <Deployments deployments={deployments} checks={checks} />}</Loaded>
    </Panel>
  );
}

function Deployments({ deployments, checks }: { deployments: Deployment[]; checks: Checks | null }) {
  const health = useMemo(() => byId(checks), [checks]);
  const columns: Column<Deployment>[] = [
    { title: "Group", heads: true, cell: (item) => item.model_name },
    { title: "Deployment", cell: (item) => <code>{item.model_info.id}</code> },
    { title: "Upstream model", cell: (item) => item.litellm_params.model ?? "–" },
    { title: "Address", cell: (item) => (item.litellm_params.api_base ? <code>{item.litellm_params.api_base}</code> : "–") },
    { title: "From", cell: (item) => (item.model_info.db_model ? "store" : "config.yaml") },
    { title: "Price", cell: (item) => (item.model_info.routeiq?.priced === false ? <Badge tone="warn">unpriced</Badge> : "set") },
    { title: "State", cell: (item) => <State deployment={item} check={health.get(item.model_info.id)} /> },
  ];
  const groups = new Set(deployments.map((item) => item.model_name)).size;
  return (
    <>
      <p className="count">
        {groups} {groups === 1 ? "group" : "groups"}, {deployments.length}{" "}
        {deployments.length === 1 ? "deployment" : "deployments"}
      </p>
      <Table
        caption="Deployments by group"
        columns={columns}
        items={[...deployments].sort((a, b) => a.model_name.localeCompare(b.model_name))}
        id={(item) => item.model_info.id}
        empty="No models are configured: name them under model_list in config.yaml."
      />
    </>
  );
}

interface Found {
  readonly tone: Tone;
  readonly word: string;
  readonly more: string;
}

function byId(checks: Checks | null): Map<string, Found> {
  const found = new Map<string, Found>();
  const put = (endpoints: Endpoint[] | undefined, tone: Tone, word: string) =>
    endpoints?.forEach((item) => found.set(item.model_id, { tone, word, more: item.error ?? "" }));
  put(checks?.healthy_endpoints, "good", "healthy");
  put(checks?.unhealthy_endpoints, "bad", "unhealthy");
  put(checks?.unchecked_endpoints, "off", "not checked");
  return found;
}

const BREAKER: Record<string, Found> = {
  closed: { tone: "good", word: "breaker closed", more: "" },
  open: { tone: "bad", word: "breaker open", more: "passed over until it is tried again" },
  resting: { tone: "warn", word: "resting", more: "it failed too often in a minute" },
  half_open: { tone: "warn", word: "breaker half open", more: "one call at a time tries it" },
};

function State({ deployment, check }: { deployment: Deployment; check: Found | undefined }) {
  const ours = deployment.model_info.routeiq;
  const breaker = ours?.breaker ? BREAKER[ours.breaker.replace("-", "_")] : undefined;
  const states = [
    ours?.served === false
      ? { tone: "bad" as const, word: "not served", more: ours.reason ?? "" }
      : { tone: "plain" as const, word: "served", more: "" },
    ...(breaker ? [breaker] : []),
    ...(check ? [check] : []),
  ];
  return (
    <span className="badges">
      {states.map((state) => (
        <span key={state.word}>
          <Badge tone={state.tone}>{state.word}</Badge>
          {state.more && <span className="why"> {state.more}</span>}
        </span>
      ))}
    </span>
  );
}
