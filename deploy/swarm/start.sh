#!/bin/sh
# Starts Funcatron on the swarm that this machine manages, or brings what runs
# there up to date. The first time it draws the admin token and RabbitMQ's
# password as secrets of the swarm, and labels this node as the Tron's.
set -eu
cd "$(dirname "$0")"

random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

found=$(docker secret ls --quiet --filter name=funcatron_rabbit_password)
if [ -z "$found" ]; then
	random | docker secret create funcatron_rabbit_password -
fi
found=$(docker secret ls --quiet --filter name=funcatron_admin_token)
if [ -z "$found" ]; then
	token=$(random)
	printf %s "$token" | docker secret create funcatron_admin_token -
	echo "The swarm never shows a secret again. Keep this:"
	echo "export FUNCATRON_ADMIN_TOKEN=$token"
fi

# The Tron's state is in a volume, and volumes do not move between nodes.
labelled=$(docker node ls --quiet --filter node.label=funcatron.tron=true)
if [ -z "$labelled" ]; then
	docker node update --label-add funcatron.tron=true "$(docker info --format '{{.Swarm.NodeID}}')"
fi

docker stack deploy --compose-file stack.yml funcatron
