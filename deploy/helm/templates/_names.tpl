{{- define "copilot.name" -}}
{{- contains "incident-copilot" .Release.Name | ternary .Release.Name (printf "%s-incident-copilot" .Release.Name) | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "copilot.chosen" -}}
app.kubernetes.io/name: {{ include "copilot.name" . }}
{{- end }}

{{- define "copilot.labels" -}}
{{ include "copilot.chosen" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "copilot.image" -}}
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}
