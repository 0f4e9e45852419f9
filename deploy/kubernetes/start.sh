#!/bin/sh
# Starts Funcatron on the cluster that kubectl points to, or brings what runs
# there up to date. The first time it draws the admin token and RabbitMQ's
# password; they are in the Secret "funcatron" and nowhere else.
set -eu
cd "$(dirname "$0")"

random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

kubectl apply -f namespace.yaml
found=$(kubectl -n funcatron get secret funcatron --ignore-not-found -o name)
if [ -z "$found" ]; then
	# From standard input: arguments can be read by everybody on this machine.
	kubectl create -f - <<EOF
apiVersion: v1
kind: Secret
metadata:
  name: funcatron
  namespace: funcatron
  labels:
    app.kubernetes.io/part-of: funcatron
stringData:
  admin-token: "$(random)"
  rabbit-password: "$(random)"
EOF
fi
kubectl apply -k .
cat <<'EOF'
The admin token:
export FUNCATRON_ADMIN_TOKEN=$(kubectl -n funcatron get secret funcatron -o go-template='{{index .data "admin-token" | base64decode}}')
EOF
