// The operator of tests/e2e/test_go_operator.py: Sites become ConfigMaps and Deployments, as an operator on
// controller-runtime usually does it: elected, cached, typed, with built-in kinds in protobuf.
package main

import (
	"context"
	"flag"
	"net/http"
	"os"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
)

func main() {
	namespace := flag.String("namespace", "", "the namespace to look after")
	metrics := flag.String("metrics", "", "address of /metrics and /wire")
	probes := flag.String("probes", "", "address of /readyz and /healthz")
	port := flag.Int("webhook-port", 0, "port of the webhooks; 0: none")
	certificates := flag.String("certificates", "", "folder of tls.crt and tls.key of the webhooks")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	if err := run(*namespace, *metrics, *probes, *port, *certificates); err != nil {
		ctrl.Log.Error(err, "the operator ended")
		os.Exit(1)
	}
}

func run(namespace, metrics, probes string, port int, certificates string) error {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(addToScheme(scheme))
	config := ctrl.GetConfigOrDie()
	count := wire{mutex: &sync.Mutex{}, counts: map[string]int{}}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return wire{next: next, mutex: count.mutex, counts: count.counts}
	})
	options := ctrl.Options{
		Scheme:                        scheme,
		Cache:                         cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}},
		Metrics:                       metricsserver.Options{BindAddress: metrics, ExtraHandlers: map[string]http.Handler{"/wire": count}},
		HealthProbeBindAddress:        probes,
		LeaderElection:                true,
		LeaderElectionID:              "site-operator",
		LeaderElectionNamespace:       namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 new(6 * time.Second),
		RenewDeadline:                 new(4 * time.Second),
		RetryPeriod:                   new(500 * time.Millisecond),
	}
	if port != 0 {
		options.WebhookServer = webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: port, CertDir: certificates})
	}
	manager, err := ctrl.NewManager(config, options)
	if err != nil {
		return err
	}
	if err := register(manager, port != 0); err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}

func register(manager ctrl.Manager, webhooks bool) error {
	byPage := func(object client.Object) []string { return []string{object.(*Site).Spec.Page} }
	if err := manager.GetFieldIndexer().IndexField(context.Background(), &Site{}, pageIndex, byPage); err != nil {
		return err
	}
	ours := &reconciler{Client: manager.GetClient(), scheme: manager.GetScheme(), events: manager.GetEventRecorder("site-operator")}
	err := ctrl.NewControllerManagedBy(manager).For(&Site{}).Owns(&appsv1.Deployment{}).Owns(&corev1.ConfigMap{}).Complete(ours)
	if err != nil {
		return err
	}
	if webhooks {
		if err := ctrl.NewWebhookManagedBy(manager, &Site{}).WithDefaulter(doorman{}).WithValidator(doorman{}).Complete(); err != nil {
			return err
		}
		if err := manager.AddReadyzCheck("webhooks", manager.GetWebhookServer().StartedChecker()); err != nil {
			return err
		}
	}
	return manager.AddReadyzCheck("ping", healthz.Ping)
}
