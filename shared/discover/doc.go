// Package discover turns what a substrate (Marathon, Kubernetes, Swarm,
// Compose, or a shell) tells a process into addresses: where RabbitMQ is, and
// under which URL others reach this process.
//
// Nothing that was looked up is kept: a name is resolved anew for each
// connection, so a broker that a substrate moves to another machine or port is
// found again by the next attempt to connect.
package discover
