{{- define "routeiq.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /* 40 characters leave room for the longest suffix in a 63-character name. */ -}}
{{- define "routeiq.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if hasPrefix (printf "%s-" .Release.Name) (include "routeiq.name" .) -}}
{{- /* Release `routeiq`: routeiq-gateway, not routeiq-routeiq-gateway. */ -}}
{{- include "routeiq.name" . -}}
{{- else if contains (include "routeiq.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "routeiq.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* Labels of a component: (dict "root" $ "component" "gateway") */ -}}
{{- define "routeiq.selector" -}}
app.kubernetes.io/name: {{ include "routeiq.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "routeiq.labels" -}}
{{ include "routeiq.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: routeiq
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* Full name of an image: (dict "root" $ "image" .Values.gateway.image) */ -}}
{{- define "routeiq.image" -}}
{{- $name := printf "%s/%s" (.image.registry | default .root.Values.image.registry) .image.repository -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "routeiq.imageLines" -}}
image: {{ include "routeiq.image" . | quote }}
imagePullPolicy: {{ .image.pullPolicy | default .root.Values.image.pullPolicy }}
{{- end -}}

{{- /* What every pod has: (dict "root" $ "uid" 65532) */ -}}
{{- define "routeiq.pod" -}}
serviceAccountName: {{ .root.Values.serviceAccount.existing | default (include "routeiq.fullname" .root) }}
automountServiceAccountToken: false
# Variables of services would look like settings of ours (ROUTEIQ_…).
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .uid }}
  runAsGroup: {{ .uid }}
  fsGroup: {{ .uid }}
  # A recursive change of modes would make PostgreSQL refuse its own folder.
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "routeiq.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  privileged: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- define "routeiq.secretName" -}}
{{- .Values.secrets.existingSecret | default (include "routeiq.fullname" .) -}}
{{- end -}}

{{- /* One variable from the Secret: (dict "root" $ "name" "DATABASE_URL") */ -}}
{{- define "routeiq.secretEnv" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef: {name: {{ include "routeiq.secretName" .root | quote }}, key: {{ .key | default .name }}}
{{- end -}}

{{- define "routeiq.hasTrust" -}}
{{- if or .Values.trust.existingConfigMap .Values.trust.publicKey }}true{{ end -}}
{{- end -}}

{{- define "routeiq.hasRedis" -}}
{{- if or .Values.redis.enabled .Values.secrets.redisUrl (has "REDIS_URL" .Values.secrets.upstreamNames) }}true{{ end -}}
{{- end -}}

{{- /* Peers and port of a destination of networkPolicy: {cidr | namespace [podLabels], port} */ -}}
{{- define "routeiq.egressRule" -}}
- to:
    {{- if .cidr }}
    - ipBlock: {cidr: {{ .cidr | quote }}}
    {{- else }}
    - namespaceSelector:
        matchLabels: {kubernetes.io/metadata.name: {{ .namespace | quote }}}
      {{- with .podLabels }}
      podSelector:
        matchLabels: {{- toYaml . | nindent 10 }}
      {{- end }}
    {{- end }}
  ports:
    - {protocol: TCP, port: {{ int .port }}}
{{- end -}}

{{- /* Mistakes that the schema cannot see; included once, by the Secret's template. */ -}}
{{- define "routeiq.check" -}}
{{- /* Here, not in the schema, whose messages would show the secret. */ -}}
{{- $forms := dict
  "masterKey" (list "^.{8,}$" "8 characters or more")
  "pepper" (list "^.{32,}$" "32 characters or more")
  "postgresPassword" (list "^[A-Za-z0-9._~-]{16,}$" "16 characters or more out of A-Z a-z 0-9 . _ ~ -")
  "redisPassword" (list "^[A-Za-z0-9._~-]{16,}$" "16 characters or more out of A-Z a-z 0-9 . _ ~ -")
  "databaseUrl" (list "^postgres(ql)?://.+$" "postgresql://user:password@host:5432/name")
  "redisUrl" (list "^rediss?://.+$" "redis://:password@host:6379/0")
}}
{{- range $name, $form := $forms }}
{{- $value := get $.Values.secrets $name }}
{{- if and $value (not (regexMatch (first $form) $value)) }}
{{- fail (printf "secrets.%s: must be %s" $name (last $form)) }}
{{- end }}
{{- end }}
{{- $own := list "ROUTEIQ_DATA_DIR" "ROUTEIQ_METRICS_PORT" "ROUTEIQ_DRAIN_TIMEOUT_SECONDS" "ROUTEIQ_TRUST_KEY" "ROUTEIQ_BUNDLE_JSON" "LITELLM_MASTER_KEY" "ROUTEIQ_PEPPER" "DATABASE_URL" "REDIS_URL" }}
{{- range $name, $_ := .Values.gateway.env }}
{{- if or (has $name $own) (hasKey $.Values.secrets.upstream $name) (has $name $.Values.secrets.upstreamNames) }}
{{- fail (printf "gateway.env.%s: another value of this chart sets it already" $name) }}
{{- end }}
{{- end }}
{{- if not .Values.config.model_list }}
{{- fail "config.model_list: name at least one model (docs/configuration.md)" }}
{{- end }}
{{- if and (dig "routeiq" "auto" "artifact" "" .Values.config) (not (include "routeiq.hasTrust" .)) }}
{{- fail "trust: config.routeiq.auto.artifact is loaded only when it verifies; set trust.existingConfigMap, or trust.publicKey, bundleJson, signature and keyId" }}
{{- end }}
{{- if and .Values.networkPolicy.enabled (not .Values.postgresql.enabled) (not .Values.networkPolicy.database) }}
{{- fail "networkPolicy.database: with an external database say where it is: [{cidr: 10.0.0.5/32, port: 5432}]" }}
{{- end }}
{{- if and .Values.networkPolicy.enabled .Values.secrets.redisUrl (not .Values.redis.enabled) (not .Values.networkPolicy.redis) }}
{{- fail "networkPolicy.redis: with an external Redis say where it is: [{cidr: 10.0.0.6/32, port: 6379}]" }}
{{- end }}
{{- end -}}
