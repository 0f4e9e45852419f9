// Package wire defines the control messages that the parts exchange over the
// bus: one JSON object a message, an action and its payload.
//
// Every message that describes state describes all of it, so a lost one is
// repaired by the next: a heartbeat carries what an awake does, a route message
// carries the whole table.
package wire

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"
)

// Version is the protocol's version. A message of a higher one is refused.
const Version = 1

// TronQueue is the control queue of the Tron unless told otherwise.
const TronQueue = "for_tron"

// MaxMessage is the largest control message in bytes that is read. The largest
// ones carry a bundle's Swagger document, or the route table.
const MaxMessage = 14 << 20

// HeartbeatEvery is how often a member reports; after three missed ones it is
// taken for gone.
const HeartbeatEvery = 10 * time.Second

// Action says what a message is about, and which payload it carries.
type Action string

// The actions, and who sends them to whom.
const (
	Awake       Action = "awake"        // member to Tron: Member
	Heartbeat   Action = "heartbeat"    // member to Tron: Member
	Died        Action = "died"         // member to Tron: no payload; it is leaving in good order
	Want        Action = "want"         // gateway to Tron: Wants
	AckAction   Action = "ack"          // member to Tron: Ack
	ResendAwake Action = "resend-awake" // Tron to member: no payload
	TronInfo    Action = "tron-info"    // Tron to member: Info
	Enable      Action = "enable"       // Tron to runner: Deployment
	Disable     Action = "disable"      // Tron to runner: Stop
	Route       Action = "route"        // Tron to gateway: Routes
	Swagger     Action = "swagger"      // Tron to gateway: Document
)

// Message is a control message. Exactly the payload that its action names is set.
type Message struct {
	Action  Action `json:"action"`
	Version int    `json:"version"`
	ID      string `json:"msg-id"`
	From    string `json:"from"` // the sender's control queue
	At      int64  `json:"at"`   // ms since 1970, the sender's clock; for people, never compared

	Member     *Member     `json:"member,omitempty"`
	Wants      *Wants      `json:"wants,omitempty"`
	Ack        *Ack        `json:"ack,omitempty"`
	Info       *Info       `json:"tron,omitempty"`
	Deployment *Deployment `json:"deployment,omitempty"`
	Stop       *Stop       `json:"stop,omitempty"`
	Routes     *Routes     `json:"routes,omitempty"`
	Document   *Document   `json:"document,omitempty"`
}

// The kinds of member.
const (
	KindGateway = "gateway"
	KindRunner  = "runner"
)

// Member describes a gateway or a runner as it is now.
type Member struct {
	Name     string `json:"name"` // unique and unchanged while the process lives, whatever becomes of its queue
	Kind     string `json:"kind"` // KindGateway or KindRunner
	Software string `json:"software"`
	Host     string `json:"host"`
	PID      int    `json:"pid"`
	URL      string `json:"url,omitempty"`       // gateway: where clients reach it
	AdminURL string `json:"admin-url,omitempty"` // metrics and health
	UptimeMs int64  `json:"uptime-ms"`

	// Epoch and Table name the route table that a gateway serves.
	Epoch string `json:"epoch,omitempty"`
	Table int64  `json:"table,omitempty"`

	// Runtimes are the types of bundles that a runner can run; one that does not say
	// may run any.
	Runtimes []string `json:"runtimes,omitempty"`

	// Deployments is what a runner runs, or tried to.
	Deployments []DeploymentStatus `json:"deployments,omitempty"`

	// Stats is a gateway's request counts since it started.
	Stats   []OperationStats `json:"stats,omitempty"`
	Pending int              `json:"pending,omitempty"` // replies that a gateway waits for
}

// The states of a deployment on one runner.
const (
	StateStarting = "starting"
	StateLive     = "live"
	StateFailed   = "failed"   // did not start; Reason says why
	StateDraining = "draining" // told to stop, still working off what it holds
)

// DeploymentStatus is one deployment on one runner.
type DeploymentStatus struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	Reason   string `json:"reason,omitempty"`
	Running  int    `json:"running"`            // requests in its functions now
	Served   uint64 `json:"served"`             // requests answered since it started here
	Restarts uint64 `json:"restarts,omitempty"` // of its processes
}

// OperationStats counts one operation's requests at one gateway.
type OperationStats struct {
	Deployment string         `json:"deployment"`
	Operation  string         `json:"operation"`
	Count      uint64         `json:"count"`
	ByStatus   map[int]uint64 `json:"by-status,omitempty"` // status class times 100: 200, 400, ...
	TotalMs    float64        `json:"total-ms"`
	MaxMs      float64        `json:"max-ms"`
}

// Wants is what a gateway asks the Tron for.
type Wants struct {
	Routes    bool     `json:"routes,omitempty"`
	Documents []string `json:"documents,omitempty"` // shas
}

// Ack answers the message whose id is Re.
type Ack struct {
	Re    string   `json:"re"`
	OK    bool     `json:"ok"`
	Error string   `json:"error,omitempty"`
	Logs  []string `json:"logs,omitempty"` // the last lines of a function that did not start
}

// Info is what a member needs to know of the Tron.
type Info struct {
	Epoch string `json:"epoch"`           // names the Tron's state; new when that was lost
	URL   string `json:"url"`             // the admin API, where bundles are fetched
	Token string `json:"token,omitempty"` // bearer token for GET /api/v1/bundle/{sha}; runners only
}

// Deployment is one enabled bundle: what a runner is told to run.
type Deployment struct {
	ID       string          `json:"id"` // unique for ever
	Sha      string          `json:"sha"`
	Host     string          `json:"host,omitempty"`
	BasePath string          `json:"base-path"`
	Queue    string          `json:"queue"`
	Props    json.RawMessage `json:"props,omitempty"` // a JSON object; secret
}

// Stop tells a runner to stop a deployment. It finishes what waits in the
// deployment's queue first, since gateways no longer add to it.
type Stop struct {
	ID string `json:"id"`
}

// Routes is a whole route table.
type Routes struct {
	Epoch   string      `json:"epoch"`   // versions of different epochs do not compare: the Tron's is right
	Version int64       `json:"version"` // grows by one a change
	Routes  []RouteItem `json:"routes"`
}

// RouteItem sends a host and base path to a deployment's queue.
type RouteItem struct {
	Deployment string `json:"deployment"`
	Sha        string `json:"sha"`
	Host       string `json:"host,omitempty"`
	BasePath   string `json:"base-path"`
	Queue      string `json:"queue"`

	// Security is how the credentials are checked that operations of the document
	// require, by the names of their security definitions.
	Security map[string]Verifier `json:"security,omitempty"`
}

// Equal tells whether r and o are the same row.
func (r RouteItem) Equal(o RouteItem) bool {
	return r.Deployment == o.Deployment && r.Sha == o.Sha && r.Host == o.Host && r.BasePath == o.BasePath && r.Queue == o.Queue &&
		len(r.Security) == len(o.Security) && (len(r.Security) == 0 || reflect.DeepEqual(r.Security, o.Security))
}

// Document is a bundle's Swagger document as JSON. Error is set instead where the
// Tron does not have it.
type Document struct {
	Sha     string          `json:"sha"`
	Swagger json.RawMessage `json:"swagger,omitempty"`
	Error   string          `json:"error,omitempty"`
}

// NewID draws a message id, or any other name that must not occur twice.
func NewID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails (Go 1.24)
	return hex.EncodeToString(b[:])
}

// Encode completes m with the protocol version, an id where it has none and the
// time, and encodes it.
func Encode(m Message) []byte {
	m.Version = Version
	if m.ID == "" {
		m.ID = NewID()
	}
	m.At = time.Now().UnixMilli()
	b, err := json.Marshal(m)
	if err != nil {
		panic("BUG: control message does not encode: " + err.Error())
	}
	return b
}

// Decode reads one control message and checks that it is whole.
func Decode(b []byte) (Message, error) {
	var m Message
	if len(b) > MaxMessage {
		return m, fmt.Errorf("decode control message: %d bytes, at most %d are read", len(b), MaxMessage)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(&m); err != nil {
		return Message{}, fmt.Errorf("decode control message: %w", err)
	}
	if m.Version > Version || m.Version < 1 {
		return Message{}, fmt.Errorf("decode control message %q: version %d, this side speaks %d", m.Action, m.Version, Version)
	}
	if err := m.check(); err != nil {
		return Message{}, fmt.Errorf("decode control message %q from %q: %w", m.Action, m.From, err)
	}
	return m, nil
}

func (m *Message) check() error {
	if m.ID == "" || m.From == "" {
		return errors.New("no msg-id or no from")
	}
	ok := true
	switch m.Action {
	case Awake, Heartbeat:
		ok = m.Member != nil && m.Member.Name != "" && (m.Member.Kind == KindGateway || m.Member.Kind == KindRunner)
	case Want:
		ok = m.Wants != nil
	case AckAction:
		ok = m.Ack != nil
	case TronInfo:
		ok = m.Info != nil
	case Enable:
		ok = m.Deployment != nil && m.Deployment.ID != "" && m.Deployment.Queue != ""
	case Disable:
		ok = m.Stop != nil && m.Stop.ID != ""
	case Route:
		ok = m.Routes != nil
	case Swagger:
		ok = m.Document != nil
	case Died, ResendAwake:
	default:
		return errors.New("unknown action")
	}
	if !ok {
		return errors.New("payload missing or incomplete")
	}
	return nil
}
