# Needs Go (go.mod says which), make and bash. Everything else is fetched.

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOLANGCI    := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

# make build VERSION=1.2.3 puts a version into the binary; else it names its commit.
VERSION ?=
LDFLAGS  = -s -w $(if $(VERSION),-X github.com/funcatron/funcatron/shared/version.Version=$(VERSION))

.PHONY: help
help: ## Say what there is (the default).
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: demo
demo: ## Run all of Funcatron in one process, with the sample; ctrl-C ends it.
	@.ci/go
	go run . up --demo

.PHONY: build
build: ## Build bin/funcatron, one static binary for all parts.
	@.ci/go
	CGO_ENABLED=0 go build -trimpath -pgo bench/default.pgo -ldflags '$(LDFLAGS)' -o bin/funcatron .

.PHONY: jvm
jvm: ## Build bin/funcatron-jvm-host.jar, and install the library that JVM bundles are compiled against.
	@.ci/languages jvm

.PHONY: samples
samples: ## Build the samples of every language into bin/samples.
	@.ci/go
	@.ci/languages

.PHONY: test
test: ## Run every test; gets a RabbitMQ where none answers.
	@.ci/test

.PHONY: bench
bench: build ## Measure beside this machine's limits; BENCH="--quick gateway" says what.
	@.ci/rabbitmq
	bin/funcatron bench $(BENCH)

.PHONY: pgo
pgo: build ## Make bench/default.pgo anew, which build optimises by, from the system under load.
	@.ci/rabbitmq
	rm -rf bin/profiles
	bin/funcatron bench --profiles bin/profiles
	mv bin/profiles/merged.pgo bench/default.pgo

.PHONY: lint
lint: ## Run staticcheck.
	@.ci/go
	go run $(STATICCHECK) ./...

.PHONY: golangci
golangci: ## Run golangci-lint's standard set (slow to build the first time).
	@.ci/go
	go run $(GOLANGCI) run ./...

.PHONY: vuln
vuln: ## Look for known vulnerabilities in what the code calls.
	@.ci/go
	go run $(GOVULNCHECK) ./...

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (30s).
	@.ci/fuzz

SOAK ?= 10m

.PHONY: soak
soak: ## Run for SOAK (10m), with Runners killed and ended every few seconds; report what grows.
	@.ci/go
	@.ci/rabbitmq
	go test -count=1 -v -timeout 0 -run '^TestSoak$$' . -soak $(SOAK)

.PHONY: clock
clock: ## Step the wall clock of every part by an hour, under load (3 minutes).
	@.ci/clock

.PHONY: tidy-check
tidy-check: ## Fail where go.mod or go.sum is not what go mod tidy would write.
	@.ci/go
	go mod tidy -diff

.PHONY: fmt
fmt: ## Format the code.
	@.ci/go
	"$$(go env GOROOT)/bin/gofmt" -w .

.PHONY: clean
clean: ## Remove what build made.
	rm -rf bin
