{{/*
The Deployment of one process: (dict "root" $ "component" NAME "values" MAP "account" NAME "replicas" N "grace" N
"args" LIST "ports" LIST "mounts" LIST "volumes" LIST); replicas "" leaves them to an autoscaler.
*/}}
{{- define "drplan.deployment" -}}
{{- $values := .root.Values -}}
{{- $own := .values -}}
{{- $selector := dict "root" .root "component" .component -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "drplan.fullname" .root }}-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "drplan.labels" $selector | nindent 4 }}
spec:
  {{- if ne (toString .replicas) "" }}
  replicas: {{ .replicas }}
  {{- end }}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      {{- /* in the node's network a new pod waits for the ports of an old one */}}
      maxUnavailable: {{ ternary 1 0 (default false $own.hostNetwork) }}
      maxSurge: {{ ternary 0 1 (default false $own.hostNetwork) }}
  selector:
    matchLabels: {{- include "drplan.selector" $selector | nindent 6 }}
  template:
    metadata:
      labels: {{- include "drplan.labels" $selector | nindent 8 }}
      {{- with merge (dict) $own.podLabels $values.podLabels }}
        {{- toYaml . | nindent 8 }}
      {{- end }}
      annotations:
        kubectl.kubernetes.io/default-container: {{ .component }}
      {{- with $values.trust.caBundle }}
        checksum/trust: {{ sha256sum . }}
      {{- end }}
      {{- with merge (dict) $own.podAnnotations $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ .account }}
      automountServiceAccountToken: true
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ .grace }}
      {{- with $values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- if $own.hostNetwork }}
      hostNetwork: true
      dnsPolicy: ClusterFirstWithHostNet
      {{- end }}
      securityContext: {{- toYaml $values.podSecurityContext | nindent 8 }}
      {{- with $own.nodeSelector | default $values.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $own.tolerations | default $values.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      affinity:
      {{- with $own.affinity | default $values.affinity }}
        {{- toYaml . | nindent 8 }}
      {{- else }}
        podAntiAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
            - weight: 100
              podAffinityTerm:
                topologyKey: kubernetes.io/hostname
                labelSelector:
                  matchLabels: {{- include "drplan.selector" $selector | nindent 20 }}
      {{- end }}
      topologySpreadConstraints:
      {{- with $own.topologySpreadConstraints | default $values.topologySpreadConstraints }}
        {{- toYaml . | nindent 8 }}
      {{- else }}
        - maxSkew: 1
          topologyKey: topology.kubernetes.io/zone
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "drplan.selector" $selector | nindent 14 }}
      {{- end }}
      {{- with $values.initContainers }}
      initContainers: {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: {{ .component }}
          image: {{ include "drplan.image" .root | quote }}
          imagePullPolicy: {{ $values.image.pullPolicy }}
          args:
          {{- range .args }}
            - {{ . | quote }}
          {{- end }}
          {{- $env := include "drplan.env" .root | trim }}
          {{- if or $env (eq .component "controller") }}
          env:
            {{- if eq .component "controller" }}
            # a restarted container takes the leader lease of its own pod at once
            - name: DRPLAN_POD_UID
              valueFrom:
                fieldRef:
                  fieldPath: metadata.uid
            {{- end }}
            {{- with $env }}
            {{- . | nindent 12 }}
            {{- end }}
          {{- end }}
          ports:
          {{- with .ports }}
            {{- toYaml . | nindent 12 }}
          {{- end }}
            - name: health
              containerPort: {{ include "drplan.port" $values.controller.healthProbeAddr }}
              protocol: TCP
            {{- if include "drplan.metricsOn" .root }}
            - name: metrics
              containerPort: {{ include "drplan.port" $values.controller.metricsAddr }}
              protocol: TCP
            {{- end }}
          startupProbe: {{- toYaml $values.startupProbe | nindent 12 }}
          livenessProbe: {{- toYaml $values.livenessProbe | nindent 12 }}
          readinessProbe: {{- toYaml $values.readinessProbe | nindent 12 }}
          resources: {{- toYaml ($own.resources | default $values.resources) | nindent 12 }}
          securityContext: {{- toYaml $values.securityContext | nindent 12 }}
          volumeMounts:
            # key pairs pass through a file for a moment
            - name: tmp
              mountPath: /tmp
          {{- if include "drplan.trustConfigMap" .root }}
            - name: trust
              mountPath: /etc/drplan/trust
              readOnly: true
          {{- end }}
          {{- with concat .mounts $values.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
          {{- end }}
        {{- with $values.sidecars }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      volumes:
        - name: tmp
          emptyDir:
            medium: Memory
            sizeLimit: 16Mi
      {{- with include "drplan.trustConfigMap" .root }}
        - name: trust
          configMap:
            name: {{ . }}
      {{- end }}
      {{- with concat .volumes $values.extraVolumes }}
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end -}}

{{/* Environment of both processes: proxies, trust, and what the values add. */}}
{{- define "drplan.env" -}}
{{- $proxy := .Values.proxy -}}
{{- if or $proxy.httpProxy $proxy.httpsProxy }}
{{- with $proxy.httpProxy }}
- name: HTTP_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with $proxy.httpsProxy }}
- name: HTTPS_PROXY
  value: {{ . | quote }}
{{- end }}
- name: NO_PROXY
  value: {{ list "localhost,127.0.0.1,.svc,.cluster.local,$(KUBERNETES_SERVICE_HOST)" $proxy.noProxy | compact | join "," | quote }}
{{- end }}
{{- if include "drplan.trustConfigMap" . }}
- name: SSL_CERT_FILE
  value: /etc/drplan/trust/{{ ternary "ca.crt" .Values.trust.key (not (empty .Values.trust.caBundle)) }}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "drplan.trustConfigMap" -}}
{{- if .Values.trust.caBundle -}}
{{ include "drplan.fullname" . }}-trust
{{- else -}}
{{ .Values.trust.configMap }}
{{- end -}}
{{- end -}}
