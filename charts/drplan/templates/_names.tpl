{{/* Names and labels. */}}

{{- define "drplan.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Prefix of all names: the release's name, with the chart's unless that is part of it. Short, so that suffixes fit. */}}
{{- define "drplan.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "drplan.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that select pods: (dict "root" $ "component" "webhook"); without component, the pods of both. */}}
{{- define "drplan.selector" -}}
app.kubernetes.io/name: {{ include "drplan.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{/* Labels of an object; arguments as for drplan.selector. */}}
{{- define "drplan.labels" -}}
{{ include "drplan.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "drplan.controllerAccount" -}}
{{- default (printf "%s-controller" (include "drplan.fullname" .)) .Values.serviceAccount.controllerName -}}
{{- end -}}

{{- define "drplan.webhookAccount" -}}
{{- default (printf "%s-webhook" (include "drplan.fullname" .)) .Values.serviceAccount.webhookName -}}
{{- end -}}

{{/* Port of the HTTP API where it has one of its own; empty where it is off or shares that of admission. */}}
{{- define "drplan.apiPort" -}}
{{- $port := int (default 9444 .Values.api.port) -}}
{{- if and .Values.api.enabled (ne $port (int .Values.webhook.port)) -}}
{{ $port }}
{{- end -}}
{{- end -}}

{{- define "drplan.webhookService" -}}
{{- include "drplan.fullname" . }}-webhook
{{- end -}}

{{- define "drplan.controllerUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "drplan.controllerAccount" . }}
{{- end -}}

{{- define "drplan.mutatingName" -}}
{{- include "drplan.fullname" . }}-mutating-webhook-configuration
{{- end -}}

{{- define "drplan.validatingName" -}}
{{- include "drplan.fullname" . }}-validating-webhook-configuration
{{- end -}}

{{- define "drplan.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* self-managed, cert-manager or secret. */}}
{{- define "drplan.certificateMode" -}}
{{- $certificate := .Values.webhook.certificate -}}
{{- if and (kindIs "bool" $certificate.autoGenerate) (not $certificate.autoGenerate) (eq $certificate.mode "self-managed") -}}
secret
{{- else -}}
{{- $certificate.mode -}}
{{- end -}}
{{- end -}}

{{- define "drplan.certificateSecret" -}}
{{- default (printf "%s-webhook-tls" (include "drplan.fullname" .)) .Values.webhook.certificate.secretName -}}
{{- end -}}

{{/* The Secret with the authority of a self-managed certificate, and its key. */}}
{{- define "drplan.authoritySecret" -}}
{{- include "drplan.fullname" . }}-webhook-authority
{{- end -}}

{{/* The given CA in base64; empty where somebody else writes it into the registrations. */}}
{{- define "drplan.caBundle" -}}
{{- if eq (include "drplan.certificateMode" .) "secret" -}}
{{- $given := .Values.webhook.certificate.caBundle | trim -}}
{{- ternary ($given | b64enc) $given (hasPrefix "-----BEGIN" $given) -}}
{{- end -}}
{{- end -}}

{{/* debug, info, warning or error, of a level given by name or by the Go operator's number. */}}
{{- define "drplan.logLevel" -}}
{{- if regexMatch "^[0-9]+$" (toString .) -}}
{{- ternary "debug" "info" (ge (int .) 4) -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{/* Port of an address like ":8080"; 0 for "0", which turns it off. */}}
{{- define "drplan.port" -}}
{{- regexFind "[0-9]+$" (toString .) -}}
{{- end -}}

{{/* Port of an http:// or https:// address, written or meant. */}}
{{- define "drplan.portOfUrl" -}}
{{- $written := regexFind ":[0-9]+$" (get (urlParse .) "host") -}}
{{- ternary (trimPrefix ":" $written) (ternary "443" "80" (hasPrefix "https:" .)) (ne $written "") -}}
{{- end -}}

{{- define "drplan.metricsOn" -}}
{{- if ne (include "drplan.port" .Values.controller.metricsAddr) "0" }}true{{ end -}}
{{- end -}}

{{/* Annotations of an object of `helm test`, given its weight. */}}
{{- define "drplan.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
