package wire

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// one is a whole message of each action.
var one = []Message{
	{Action: Awake, Member: &Member{Name: "g", Kind: KindGateway, URL: "http://g", Epoch: "e", Table: 3, Stats: []OperationStats{
		{Deployment: "d", Operation: "GET /x", Count: 2, ByStatus: map[int]uint64{200: 2}, TotalMs: 1.5, MaxMs: 1},
	}}},
	{Action: Heartbeat, Member: &Member{Name: "r", Kind: KindRunner, Deployments: []DeploymentStatus{
		{ID: "d", State: StateFailed, Reason: "exit status 1", Restarts: 4},
	}}},
	{Action: Died},
	{Action: Want, Wants: &Wants{Routes: true, Documents: []string{"a", "b"}}},
	{Action: AckAction, Ack: &Ack{Re: "m", Error: "no", Logs: []string{"line"}}},
	{Action: ResendAwake},
	{Action: TronInfo, Info: &Info{Epoch: "e", URL: "http://t", Token: "secret"}},
	{Action: Enable, Deployment: &Deployment{ID: "d", Sha: "s", BasePath: "/x", Queue: "q", Props: json.RawMessage(`{"a":[1,"<&>"]}`)}},
	{Action: Disable, Stop: &Stop{ID: "d"}},
	{Action: Route, Routes: &Routes{Epoch: "e", Version: 9, Routes: []RouteItem{{Deployment: "d", Sha: "s", Host: "h", BasePath: "/x", Queue: "q"}}}},
	{Action: Route, Routes: &Routes{Epoch: "e", Version: 10, Routes: []RouteItem{{Deployment: "d", Sha: "s", BasePath: "", Queue: "q", Security: map[string]Verifier{
		"b": {Type: "basic", Salt: []byte{1}, Digests: [][]byte{{2}, {3}}}, "o": {Type: "oauth2", JWKS: json.RawMessage(`{"keys":[]}`), Issuer: "i", Audience: "a"},
	}}}}},
	{Action: Swagger, Document: &Document{Sha: "s", Swagger: json.RawMessage(`{"swagger":"2.0"}`)}},
}

func TestRoundTrip(t *testing.T) {
	for _, m := range one {
		t.Run(string(m.Action), func(t *testing.T) {
			m.From = "queue"
			before := time.Now().UnixMilli()
			got, err := Decode(Encode(m))
			if err != nil {
				t.Fatal(err)
			}
			if got.Version != Version || len(got.ID) != 24 || got.At < before || got.At > time.Now().UnixMilli() {
				t.Errorf("version %d, msg-id %q, at %d were filled in", got.Version, got.ID, got.At)
			}
			m.Version, m.ID, m.At = got.Version, got.ID, got.At
			if m.Deployment != nil { // JSON has more than one way to write a string
				var want, have any
				if json.Unmarshal(m.Deployment.Props, &want) != nil || json.Unmarshal(got.Deployment.Props, &have) != nil || !reflect.DeepEqual(have, want) {
					t.Errorf("props %s, want %s", got.Deployment.Props, m.Deployment.Props)
				}
				got.Deployment.Props = m.Deployment.Props
			}
			if !reflect.DeepEqual(got, m) {
				t.Errorf("got %+v, want %+v", got, m)
			}
		})
	}
}

func TestEncodeKeepsAGivenID(t *testing.T) {
	m, err := Decode(Encode(Message{Action: Died, From: "q", ID: "mine"}))
	if err != nil || m.ID != "mine" {
		t.Errorf("msg-id %q, %v; want mine", m.ID, err)
	}
}

func TestEncodeNamesTheFieldsOfTheProtocol(t *testing.T) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(Encode(one[0]), &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"action", "version", "msg-id", "from", "at", "member"} {
		if fields[name] == nil {
			t.Errorf("no field %q in %s", name, Encode(one[0]))
		}
	}
	if len(fields) != 6 {
		t.Errorf("%d fields, want 6: %s", len(fields), Encode(one[0]))
	}
}

func TestDecodeRefuses(t *testing.T) {
	const head = `"version":1,"msg-id":"i","from":"q"`
	for _, tc := range []struct{ name, body, want string }{
		{"nothing", ``, "EOF"},
		{"no JSON", `awake`, "invalid character"},
		{"no object", `[]`, "cannot unmarshal"},
		{"cut off", `{"action":"died",` + head, "unexpected EOF"},
		{"no version", `{"action":"died","msg-id":"i","from":"q"}`, "version 0"},
		{"a later version", `{"action":"died","version":2,"msg-id":"i","from":"q"}`, "version 2, this side speaks 1"},
		{"a negative version", `{"action":"died","version":-1,"msg-id":"i","from":"q"}`, "version -1"},
		{"no msg-id", `{"action":"died","version":1,"from":"q"}`, "no msg-id"},
		{"no from", `{"action":"died","version":1,"msg-id":"i"}`, "no from"},
		{"no action", `{` + head + `}`, "unknown action"},
		{"unknown action", `{"action":"dance",` + head + `}`, "unknown action"},
		{"awake without member", `{"action":"awake",` + head + `}`, "payload"},
		{"member without name", `{"action":"awake",` + head + `,"member":{"kind":"runner"}}`, "payload"},
		{"member of no kind", `{"action":"heartbeat",` + head + `,"member":{"name":"n","kind":"tron"}}`, "payload"},
		{"want without wants", `{"action":"want",` + head + `,"ack":{}}`, "payload"},
		{"ack without ack", `{"action":"ack",` + head + `}`, "payload"},
		{"tron-info without tron", `{"action":"tron-info",` + head + `}`, "payload"},
		{"enable without deployment", `{"action":"enable",` + head + `}`, "payload"},
		{"enable without id", `{"action":"enable",` + head + `,"deployment":{"queue":"q"}}`, "payload"},
		{"enable without queue", `{"action":"enable",` + head + `,"deployment":{"id":"d"}}`, "payload"},
		{"disable without id", `{"action":"disable",` + head + `,"stop":{}}`, "payload"},
		{"route without routes", `{"action":"route",` + head + `,"routes":null}`, "payload"},
		{"swagger without document", `{"action":"swagger",` + head + `}`, "payload"},
		{"wrong type", `{"action":"route",` + head + `,"routes":{"version":"9"}}`, "cannot unmarshal"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := Decode([]byte(tc.body))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("Decode = %+v, %v; want an error with %q", m, err, tc.want)
			}
			if !reflect.DeepEqual(m, Message{}) {
				t.Errorf("a refused message was returned: %+v", m)
			}
		})
	}
}

func TestDecodeBoundsTheSize(t *testing.T) {
	m := Encode(Message{Action: Died, From: "q"})
	large := append(m, make([]byte, MaxMessage)...)
	if _, err := Decode(large); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a message of %d bytes: %v", len(large), err)
	}
}

// What is not known yet comes from a newer part that still speaks this version.
func TestDecodePassesOverUnknownFields(t *testing.T) {
	m, err := Decode([]byte(`{"action":"died","version":1,"msg-id":"i","from":"q","mood":"good"}`))
	if err != nil || m.Action != Died {
		t.Errorf("Decode = %+v, %v", m, err)
	}
}

func TestNewID(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		id := NewID()
		if len(id) != 24 || strings.Trim(id, "0123456789abcdef") != "" || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
}

// Whatever is decoded is whole, and encodes to what decodes to the same.
func FuzzDecode(f *testing.F) {
	for _, m := range one {
		m.From = "q"
		f.Add(Encode(m))
	}
	f.Add([]byte(`{"action":"enable","version":1,"msg-id":"i","from":"q","deployment":{"id":"d","queue":"q","props":null}}`))
	f.Add([]byte(`{"action":"awake","version":1,"msg-id":"i","from":"q","member":{"name":"n","kind":"runner","deployments":[{}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		if m.ID == "" || m.From == "" || m.Version != Version {
			t.Fatalf("decoded without an envelope: %+v", m)
		}
		again, err := Decode(Encode(m))
		if err != nil {
			t.Fatalf("decoded once, but not again: %v\n%+v", err, m)
		}
		again.At = m.At
		first, second := Encode(m), Encode(again)
		if len(first) == 0 || again.Action != m.Action || again.ID != m.ID || len(first) != len(second) {
			t.Fatalf("%s\nbecame\n%s", first, second)
		}
	})
}
