"""API priority and fairness: which requests are worked on at once, which wait, and which are turned away.

`rules` says which FlowSchema a request belongs to, `estimate` how much work it is, `queueset` is one priority level's seats
and queues, `allocation` divides the server's seats among levels, `levels` makes all of it of the API objects. These are
pure: requests and the time go in, decisions come out. `controller` wakes who waits and follows the objects, `upkeep` keeps
upstream's own objects there, `metrics` and `dump` show it.
Source: KEP-1040; `k8s.io/apiserver/pkg/util/flowcontrol`, `pkg/server/filters/priority-and-fairness.go`.
"""
