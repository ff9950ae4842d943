package main

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
)

const (
	finalizer = "sites.example.com/farewell"
	pageIndex = "spec.page"
)

type reconciler struct {
	client.Client
	scheme *runtime.Scheme
	events events.EventRecorder
}

// Reconcile brings the page, the Deployment and the status to what the Site says.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	site := &Site{}
	if err := r.Get(ctx, request.NamespacedName, site); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !site.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.farewell(ctx, site)
	}
	if controllerutil.AddFinalizer(site, finalizer) {
		if err := r.Update(ctx, site); err != nil {
			return ctrl.Result{}, err
		}
	}
	if err := r.page(ctx, site); err != nil {
		return ctrl.Result{}, err
	}
	ready, err := r.deployment(ctx, site)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, r.status(ctx, site, ready)
}

// page applies the ConfigMap on the server's side.
func (r *reconciler) page(ctx context.Context, site *Site) error {
	owner := applymetav1.OwnerReference().WithAPIVersion(groupVersion.String()).WithKind("Site").
		WithName(site.Name).WithUID(site.UID).WithController(true).WithBlockOwnerDeletion(true)
	page := applycorev1.ConfigMap(site.Name, site.Namespace).WithOwnerReferences(owner).
		WithData(map[string]string{"index.html": site.Spec.Page})
	return r.Apply(ctx, page, client.FieldOwner("site-operator"), client.ForceOwnership)
}

// deployment creates or updates the Deployment; how many of its pods are ready.
func (r *reconciler) deployment(ctx context.Context, site *Site) (int32, error) {
	found := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: site.Name, Namespace: site.Namespace}}
	labels := map[string]string{"site": site.Name}
	done, err := controllerutil.CreateOrUpdate(ctx, r.Client, found, func() error {
		found.Spec.Replicas = site.Spec.Replicas
		found.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
		found.Spec.Template.Labels = labels
		found.Spec.Template.Annotations = map[string]string{"page": site.Spec.Page}
		if len(found.Spec.Template.Spec.Containers) == 0 {
			found.Spec.Template.Spec.Containers = []corev1.Container{{Name: "web", Image: "web:1"}}
		}
		found.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "page", VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: site.Name}, DefaultMode: new(int32(0o644))}}}}
		return controllerutil.SetControllerReference(site, found, r.scheme)
	})
	if err != nil {
		return 0, err
	}
	if done != controllerutil.OperationResultNone {
		r.events.Eventf(site, found, corev1.EventTypeNormal, "Deployed", "Deploy", "deployment %s", done)
	}
	return found.Status.ReadyReplicas, nil
}

func (r *reconciler) status(ctx context.Context, site *Site, ready int32) error {
	before := site.DeepCopy()
	site.Status.ObservedGeneration, site.Status.ReadyReplicas = site.Generation, ready
	state := metav1.Condition{Type: "Ready", Status: metav1.ConditionFalse, Reason: "Starting", ObservedGeneration: site.Generation,
		Message: fmt.Sprintf("%d of %d replicas are ready", ready, *site.Spec.Replicas)}
	if ready == *site.Spec.Replicas {
		state.Status, state.Reason = metav1.ConditionTrue, "Serving"
	}
	meta.SetStatusCondition(&site.Status.Conditions, state)
	return r.Status().Patch(ctx, site, client.MergeFrom(before))
}

// farewell leaves a note that outlives the Site, then lets it go.
func (r *reconciler) farewell(ctx context.Context, site *Site) error {
	if !controllerutil.ContainsFinalizer(site, finalizer) {
		return nil
	}
	twins := &SiteList{}
	if err := r.List(ctx, twins, client.InNamespace(site.Namespace), client.MatchingFields{pageIndex: site.Spec.Page}); err != nil {
		return err
	}
	note := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "farewell-" + site.Name, Namespace: site.Namespace},
		Data: map[string]string{"page": site.Spec.Page, "twins": fmt.Sprint(len(twins.Items) - 1)}}
	if err := r.Create(ctx, note); client.IgnoreAlreadyExists(err) != nil {
		return err
	}
	before := site.DeepCopy()
	controllerutil.RemoveFinalizer(site, finalizer)
	return r.Patch(ctx, site, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}
