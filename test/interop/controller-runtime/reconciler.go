package main

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
)

const (
	finalizer    = "shop.example.com/ledger"
	fieldOwner   = client.FieldOwner("widget-controller")
	ledgerSuffix = "-ledger"
	// messageIndex finds widgets in the cache by their message.
	messageIndex = "spec.message"
)

type reconciler struct {
	client.Client
	recorder record.EventRecorder
	identity string
}

func (r *reconciler) setUp(ctx context.Context, mgr ctrl.Manager) error {
	index := func(o client.Object) []string { return []string{o.(*Widget).Spec.Message} }
	if err := mgr.GetFieldIndexer().IndexField(ctx, &Widget{}, messageIndex, index); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).For(&Widget{}).Owns(&corev1.ConfigMap{}).Complete(r)
}

// Reconcile keeps an owned ConfigMap (server-side applied), a ledger that is not owned
// and goes by the finalizer, and the status.
func (r *reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	widget := &Widget{}
	if err := r.Get(ctx, req.NamespacedName, widget); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !widget.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.finalize(ctx, widget)
	}
	if controllerutil.AddFinalizer(widget, finalizer) {
		if err := r.Update(ctx, widget); err != nil {
			return ctrl.Result{}, err
		}
	}
	text := strings.Repeat(widget.Spec.Message, int(widget.Spec.Repeat))
	if err := r.apply(ctx, widget, text); err != nil {
		return ctrl.Result{}, err
	}
	if err := r.keepLedger(ctx, widget); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, r.report(ctx, widget, text)
}

func (r *reconciler) apply(ctx context.Context, widget *Widget, text string) error {
	owned := &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: widget.Name, Namespace: widget.Namespace},
		Data:       map[string]string{"text": text},
	}
	if err := ctrl.SetControllerReference(widget, owned, r.Scheme()); err != nil {
		return err
	}
	return r.Patch(ctx, owned, client.Apply, fieldOwner, client.ForceOwnership)
}

func (r *reconciler) keepLedger(ctx context.Context, widget *Widget) error {
	same := &WidgetList{}
	err := r.List(ctx, same, client.InNamespace(widget.Namespace), client.MatchingFields{messageIndex: widget.Spec.Message})
	if err != nil {
		return err
	}
	ledger := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: widget.Name + ledgerSuffix, Namespace: widget.Namespace}}
	result, err := controllerutil.CreateOrUpdate(ctx, r.Client, ledger, func() error {
		ledger.Labels = map[string]string{"shop.example.com/ledger": "true"}
		ledger.Data = map[string]string{"same-message": fmt.Sprint(len(same.Items)), "written-by": r.identity}
		return nil
	})
	if result == controllerutil.OperationResultCreated {
		r.recorder.Eventf(widget, corev1.EventTypeNormal, "LedgerOpened", "Opened ledger %s", ledger.Name)
	}
	return err
}

func (r *reconciler) report(ctx context.Context, widget *Widget, text string) error {
	before := widget.DeepCopyObject().(*Widget)
	widget.Status.Text = text
	widget.Status.ObservedGeneration = widget.Generation
	meta.SetStatusCondition(&widget.Status.Conditions, metav1.Condition{
		Type:               "Ready",
		Status:             metav1.ConditionTrue,
		Reason:             "Written",
		Message:            "the text is written",
		ObservedGeneration: widget.Generation,
	})
	return r.Status().Patch(ctx, widget, client.MergeFrom(before))
}

func (r *reconciler) finalize(ctx context.Context, widget *Widget) error {
	if !controllerutil.ContainsFinalizer(widget, finalizer) {
		return nil
	}
	ledger := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: widget.Name + ledgerSuffix, Namespace: widget.Namespace}}
	if err := r.Delete(ctx, ledger); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	before := widget.DeepCopyObject().(*Widget)
	controllerutil.RemoveFinalizer(widget, finalizer)
	return r.Patch(ctx, widget, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}
