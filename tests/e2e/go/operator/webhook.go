package main

import (
	"context"
	"errors"

	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// doorman fills in and refuses Sites before they are stored.
type doorman struct{}

func (doorman) Default(_ context.Context, site *Site) error {
	if site.Spec.Replicas == nil {
		one := int32(1)
		site.Spec.Replicas = &one
	}
	return nil
}

func (doorman) ValidateCreate(_ context.Context, site *Site) (admission.Warnings, error) {
	return judge(site)
}

func (doorman) ValidateUpdate(_ context.Context, _, site *Site) (admission.Warnings, error) {
	return judge(site)
}

func (doorman) ValidateDelete(context.Context, *Site) (admission.Warnings, error) { return nil, nil }

func judge(site *Site) (admission.Warnings, error) {
	if site.Spec.Page == "" {
		return nil, errors.New("a site needs a page")
	}
	if *site.Spec.Replicas > 5 {
		return admission.Warnings{"that is a lot of replicas"}, nil
	}
	return nil, nil
}
