// Package quantity reads amounts of memory and of processors as Kubernetes writes
// them: "256Mi", "0.5", "500m", "1e9".
//
// What it accepts it reads exactly: an amount is a rational number until the end,
// and one that does not come out whole is refused, not rounded.
package quantity

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// maxText is the longest text that is read, in bytes: with it no arithmetic is
// long.
const maxText = 32

// suffixes are those of a Kubernetes quantity, and by what they multiply.
var suffixes = map[string]*big.Rat{
	"":  big.NewRat(1, 1),
	"m": big.NewRat(1, 1000),
	"k": big.NewRat(1e3, 1), "M": big.NewRat(1e6, 1), "G": big.NewRat(1e9, 1), "T": big.NewRat(1e12, 1), "P": big.NewRat(1e15, 1), "E": big.NewRat(1e18, 1),
	"Ki": big.NewRat(1<<10, 1), "Mi": big.NewRat(1<<20, 1), "Gi": big.NewRat(1<<30, 1), "Ti": big.NewRat(1<<40, 1), "Pi": big.NewRat(1<<50, 1), "Ei": big.NewRat(1<<60, 1),
}

// Whole reads an amount that is a whole number, of bytes for instance.
func Whole(text string) (int64, error) { return read(text, big.NewRat(1, 1)) }

// Milli reads an amount in thousandths: "0.5" and "500m" are 500.
func Milli(text string) (int64, error) { return read(text, big.NewRat(1000, 1)) }

func read(text string, unit *big.Rat) (int64, error) {
	if len(text) > maxText {
		return 0, fmt.Errorf("%.20q... is too long for a quantity", text)
	}
	end := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		end = len(text)
	}
	number, suffix := text[:end], text[end:]
	digits, fraction, _ := strings.Cut(number, ".")
	amount, ok := new(big.Rat).SetString(number)
	if !ok || digits+fraction == "" {
		return 0, fmt.Errorf(`%q is not a quantity like "256Mi", "0.5" or "500m"`, text)
	}
	factor := suffixes[suffix]
	if factor == nil {
		var err error
		if factor, err = exponent(suffix); err != nil {
			return 0, fmt.Errorf(`%q is not a quantity like "256Mi", "0.5" or "500m": %w`, text, err)
		}
	}
	amount.Mul(amount, factor).Mul(amount, unit)
	switch {
	case !amount.IsInt():
		return 0, fmt.Errorf("%q is finer than can be told", text)
	case !amount.Num().IsInt64():
		return 0, fmt.Errorf("%q is more than there is", text)
	}
	return amount.Num().Int64(), nil
}

// exponent reads a suffix like "e9" or "E-3".
func exponent(suffix string) (*big.Rat, error) {
	if suffix[0] != 'e' && suffix[0] != 'E' || len(suffix) == 1 {
		return nil, fmt.Errorf("%q is no unit", suffix)
	}
	n, err := strconv.Atoi(suffix[1:])
	if err != nil || n < -18 || n > 18 {
		return nil, errors.New("its exponent is not a whole number from -18 to 18")
	}
	power := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(n, -n))), nil))
	if n < 0 {
		power.Inv(power)
	}
	return power, nil
}

// Bytes writes a number of bytes in the largest binary unit that it is whole in.
func Bytes(n int64) string {
	for _, unit := range []string{"", "Ki", "Mi", "Gi"} {
		if n%1024 != 0 || n == 0 {
			return strconv.FormatInt(n, 10) + unit
		}
		n /= 1024
	}
	return strconv.FormatInt(n, 10) + "Ti"
}
