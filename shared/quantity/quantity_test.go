package quantity

import (
	"strings"
	"testing"
)

func TestWhole(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "134217728": 128 << 20, "256Mi": 256 << 20, "1Gi": 1 << 30, "0.5Gi": 512 << 20, "1.5Ki": 1536, ".5Ki": 512, "5.": 5,
		"129M": 129e6, "1k": 1000, "128974848000m": 128974848, "1e9": 1e9, "129E6": 129e6, "1E": 1e18, "1e+3": 1000, "1500e-2": 15,
		"7Ei": 7 << 60, "9223372036854775807": 1<<63 - 1, "007": 7,
	} {
		if got, err := Whole(text); err != nil || got != want {
			t.Errorf("Whole(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestMilli(t *testing.T) {
	for text, want := range map[string]int64{"1": 1000, "0.5": 500, "500m": 500, "1500m": 1500, "0.001": 1, "2e-1": 200, "64": 64000} {
		if got, err := Milli(text); err != nil || got != want {
			t.Errorf("Milli(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, text := range []string{
		"", " ", "1 ", " 1", "-1", "+1", ".", "Mi", "m", "1.2.3", "1mi", "1MI", "1K", "1KB", "256MB", "256 Mi", "1e", "1e1.5", "1e19", "1e-19",
		"1e99999999999", "0x10", "1_000", "1/2", "∞", "1.5", "0.1", "8Ei", "9223372036854775808", "1\x00", strings.Repeat("9", 33),
	} {
		if got, err := Whole(text); err == nil {
			t.Errorf("Whole(%q) = %d, want an error", text, got)
		}
	}
	for _, text := range []string{"0.0005", "0.5m", "1e-4"} {
		if got, err := Milli(text); err == nil {
			t.Errorf("Milli(%q) = %d, want an error: it is finer than a thousandth", text, got)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 1000: "1000", 1024: "1Ki", 256 << 20: "256Mi", 1 << 30: "1Gi", 3 << 40: "3Ti", 1 << 60: "1048576Ti", 1536: "1536"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

// Whatever is accepted is no less than nothing, and reads the same once written.
func FuzzWhole(f *testing.F) {
	for _, s := range []string{"256Mi", "0.5", "500m", "1e9", "1E", "9e-1", "..", "1.e3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := Whole(text)
		if err != nil {
			return
		}
		if n < 0 {
			t.Fatalf("Whole(%q) = %d", text, n)
		}
		if again, err := Whole(Bytes(n)); err != nil || again != n {
			t.Fatalf("Whole(%q) = %d, and of %q %d, %v", text, n, Bytes(n), again, err)
		}
		if m, err := Milli(text); err == nil && m/1000 != n {
			t.Fatalf("Milli(%q) = %d, Whole = %d", text, m, n)
		}
	})
}
