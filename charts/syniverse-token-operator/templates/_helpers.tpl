{{- /* A name that leaves room for what is added to it, and may be one of a Service. */}}
{{- define "operator.shortened" -}}
{{- regexReplaceAll "-+$" (. | replace "." "-" | trunc 50) "" }}
{{- end }}

{{- define "operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | include "operator.shortened" }}
{{- end }}

{{- define "operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | include "operator.shortened" }}
{{- else if contains (include "operator.name" .) .Release.Name }}
{{- .Release.Name | include "operator.shortened" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "operator.name" .) | include "operator.shortened" }}
{{- end }}
{{- end }}

{{- /* Names without a namespace carry the release's: two releases of one name in two namespaces do not meet. */}}
{{- define "operator.clusterName" -}}
{{- printf "%s.%s" (include "operator.fullname" .) .Release.Namespace }}
{{- end }}

{{- define "operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- /* The names of a shard's Deployment, budget and Lease: the first one's are those of the only one. The templates below
take the chart's context with the number of the shard in it. */}}
{{- define "operator.shardName" -}}
{{- include "operator.fullname" . }}{{ if gt (int .Shard) 1 }}-{{ .Shard }}{{ end }}
{{- end }}

{{- define "operator.shardNames" -}}
{{- $names := list }}
{{- range untilStep 1 (int .Values.shards | add1 | int) 1 }}
{{- $names = append $names (include "operator.shardName" (merge (dict "Shard" .) $) | quote) }}
{{- end }}
{{- join ", " $names }}
{{- end }}

{{- /* Tells the Pods of the shards apart. */}}
{{- define "operator.shardLabel" -}}
syniverse.dev/shard: {{ .Shard | quote }}
{{- end }}

{{- define "operator.shardSelectorLabels" -}}
{{ include "operator.selectorLabels" . }}
{{ include "operator.shardLabel" . }}
{{- end }}

{{- define "operator.labels" -}}
{{ include "operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The chart's labels and further ones, which win: [root, labels]. */}}
{{- define "operator.labelsWith" -}}
{{- mergeOverwrite (include "operator.labels" (index . 0) | fromYaml) (default dict (index . 1)) | toYaml }}
{{- end }}

{{- /* The registry of a repository is its first part, where that can be a host. */}}
{{- define "operator.repository" -}}
{{- $registry := (default dict .Values.global).imageRegistry }}
{{- $parts := splitList "/" .Values.image.repository }}
{{- if and $registry (gt (len $parts) 1) (regexMatch "[.:]|^localhost$" (first $parts)) }}
{{- $parts = rest $parts }}
{{- end }}
{{- concat (compact (list (default "" $registry | trimSuffix "/"))) $parts | join "/" }}
{{- end }}

{{- define "operator.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" (include "operator.repository" .) .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" (include "operator.repository" .) (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "operator.imagePullSecrets" -}}
{{- $names := list }}
{{- range concat (default list (default dict .Values.global).imagePullSecrets) (default list .Values.imagePullSecrets) }}
{{- $names = append $names (kindIs "string" . | ternary (dict "name" .) .) }}
{{- end }}
{{- with uniq $names }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* The seconds of a duration such as 1m30s. */}}
{{- define "operator.seconds" -}}
{{- $seconds := 0 }}
{{- range regexFindAll "[0-9]+[hms]" . -1 }}
{{- $seconds = add $seconds (mul (regexFind "[0-9]+" . | atoi) (get (dict "h" 3600 "m" 60 "s" 1) (regexFind "[hms]" .))) }}
{{- end }}
{{- $seconds }}
{{- end }}

{{- /* Refuses what the schema cannot: values that are good each by itself, but not together. The operator would refuse them
when it starts. */}}
{{- define "operator.check" -}}
{{- if and (hasKey .Values "enabled") (not .Values.enabled) }}
{{- fail "enabled: false means nothing to this chart: do not install it, or name the value in the condition of the chart that depends on it" }}
{{- end }}
{{- include "operator.checkAlone" . }}
{{- if and (not .Values.leaderElection.enabled) (gt (int .Values.replicas) 1) }}
{{- fail "replicas above 1 need leaderElection.enabled: two operators would ask for each token twice" }}
{{- end }}
{{- if and .Values.caBundle.configMap.name .Values.caBundle.secret.name }}
{{- fail "caBundle.configMap.name and caBundle.secret.name: set one of the two" }}
{{- end }}
{{- if and .Values.proxy.url .Values.proxy.fromSecret.name }}
{{- fail "proxy.url and proxy.fromSecret.name: set one of the two" }}
{{- end }}
{{- if and .Values.proxy.url (not (regexMatch "^https?://[^@]+$" .Values.proxy.url)) }}
{{- fail "proxy.url must be an http or https URL without a user: one with a password belongs into proxy.fromSecret" }}
{{- end }}
{{- if eq (int .Values.metricsPort) (int .Values.healthPort) }}
{{- fail "metricsPort and healthPort must differ: readers of metrics must not keep the kubelet from its answer" }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
{{- fail "serviceMonitor.enabled and podMonitor.enabled: with both, everything would be scraped twice" }}
{{- end }}
{{- if and .Values.rbac.create (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) }}
{{- fail "serviceAccount.create is false: set serviceAccount.name, or every Pod of the namespace would get these rights" }}
{{- end }}
{{- $seconds := dict }}
{{- range $name, $duration := dict "callTimeout" .Values.callTimeout "connectTimeout" .Values.connectTimeout "dailyCheck" .Values.dailyCheck "leaderElection.leaseDuration" .Values.leaderElection.leaseDuration "leaderElection.renewDeadline" .Values.leaderElection.renewDeadline "leaderElection.retryPeriod" .Values.leaderElection.retryPeriod }}
{{- $_ := set $seconds $name (include "operator.seconds" $duration | int) }}
{{- if eq (get $seconds $name) 0 }}
{{- fail (printf "%s must be above zero" $name) }}
{{- end }}
{{- end }}
{{- $call := get $seconds "callTimeout" }}
{{- if gt (get $seconds "connectTimeout") $call }}
{{- fail "connectTimeout must not be longer than callTimeout" }}
{{- end }}
{{- if lt (int .Values.terminationGracePeriodSeconds) (add $call 20 | int) }}
{{- fail "terminationGracePeriodSeconds must be at least callTimeout and 20 s: a call in flight ends and is recorded" }}
{{- end }}
{{- if .Values.leaderElection.enabled }}
{{- $lease := get $seconds "leaderElection.leaseDuration" }}
{{- $deadline := get $seconds "leaderElection.renewDeadline" }}
{{- $retry := get $seconds "leaderElection.retryPeriod" }}
{{- if or (ge $retry $deadline) (ge $deadline $lease) }}
{{- fail "leaderElection: retryPeriod must be shorter than renewDeadline, and that shorter than leaseDuration" }}
{{- end }}
{{- if le (sub $lease (add $call 1) | int) $retry }}
{{- fail "leaderElection.leaseDuration must be longer than callTimeout, leaderElection.retryPeriod and a second together" }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Refuses to work where another release does. It is known by its binding, in a cluster that Helm can ask: who renders
the chart without one is told by the operator itself. */}}
{{- define "operator.checkAlone" -}}
{{- if and .Values.rbac.create (not .Values.allowSecondRelease) }}
{{- $bindings := list }}
{{- /* Who installs in namespaces only may not be able to look elsewhere. */}}
{{- if or (not .Values.watchNamespaces) .Values.crds.install .Values.admissionPolicy.enabled .Values.rbac.aggregateRoles }}
{{- $bindings = concat $bindings (default list (lookup "rbac.authorization.k8s.io/v1" "ClusterRoleBinding" "" "").items) }}
{{- end }}
{{- range default (list "") .Values.watchNamespaces }}
{{- $bindings = concat $bindings (default list (lookup "rbac.authorization.k8s.io/v1" "RoleBinding" . "").items) }}
{{- end }}
{{- range $bindings }}
{{- $labels := default dict .metadata.labels }}
{{- /* The binding of the Lease has no dot in its name. */}}
{{- if and (hasPrefix (printf "%s-" $.Chart.Name) (default "" (get $labels "helm.sh/chart"))) (contains "." .metadata.name) .subjects }}
{{- $release := get $labels "app.kubernetes.io/instance" }}
{{- $home := (first .subjects).namespace }}
{{- if or (ne $release $.Release.Name) (ne $home $.Release.Namespace) }}
{{- $place := printf "the namespace %s" (default "" .metadata.namespace) }}
{{- fail (printf "the release %s in the namespace %s works in %s: two would ask for each token twice. Give each its own watchNamespaces or uninstall one; allowSecondRelease lets it be" $release $home (ternary $place "all namespaces" (eq .kind "RoleBinding"))) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
