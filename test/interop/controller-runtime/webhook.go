package main

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// admissionRules defaults and validates widgets over the webhook server of the manager.
type admissionRules struct{}

func (a *admissionRules) setUp(mgr ctrl.Manager) error {
	return ctrl.NewWebhookManagedBy(mgr).For(&Widget{}).WithDefaulter(a).WithValidator(a).Complete()
}

// Default implements admission.CustomDefaulter.
func (a *admissionRules) Default(_ context.Context, obj runtime.Object) error {
	widget := obj.(*Widget)
	if widget.Spec.Repeat == 0 {
		widget.Spec.Repeat = 2
	}
	return nil
}

// ValidateCreate implements admission.CustomValidator.
func (a *admissionRules) ValidateCreate(_ context.Context, obj runtime.Object) (admission.Warnings, error) {
	return check(obj.(*Widget))
}

// ValidateUpdate implements admission.CustomValidator.
func (a *admissionRules) ValidateUpdate(_ context.Context, _, obj runtime.Object) (admission.Warnings, error) {
	return check(obj.(*Widget))
}

// ValidateDelete implements admission.CustomValidator.
func (a *admissionRules) ValidateDelete(context.Context, runtime.Object) (admission.Warnings, error) {
	return nil, nil
}

func check(widget *Widget) (admission.Warnings, error) {
	if strings.Contains(widget.Spec.Message, "forbidden") {
		return nil, fmt.Errorf("the message %q is not allowed", widget.Spec.Message)
	}
	if strings.HasPrefix(widget.Spec.Message, " ") {
		return admission.Warnings{"the message begins with a blank"}, nil
	}
	return nil, nil
}
