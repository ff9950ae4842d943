"""Horizontal pod autoscalers: how many replicas a target should have, by what its pods use.

`samples` asks the metrics APIs, `measure` makes replicas of what they said, `behavior` holds back what is too fast,
`decide` puts it together into scale, status and events. Source: kube-controller-manager `podautoscaler`, KEP-117, KEP-853, KEP-4951.
"""
