module drplan.test/oracle

go 1.26.0

require (
	golang.org/x/net v0.57.0
	k8s.io/apimachinery v0.36.6
	k8s.io/client-go v0.36.6
)

require (
	golang.org/x/text v0.40.0 // indirect
	sigs.k8s.io/json v0.0.0-20250730193827-2d320260d730 // indirect
)
