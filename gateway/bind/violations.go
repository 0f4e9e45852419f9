package bind

// reporter is told what is wrong with the value at hand.
type reporter interface{ fail(message string) }

// collector gathers the violations of one request. Its zero value is ready.
type collector struct {
	list     []Violation
	full     bool
	in, name string // of the parameter at hand
	item     int    // 1 + index of the array item at hand, 0 outside arrays
}

// at says which parameter the next failures are about.
func (c *collector) at(in, name string) { c.in, c.name, c.item = in, name, 0 }

// fail implements reporter.
func (c *collector) fail(message string) {
	if c.item > 0 {
		message = "item " + itoa(c.item-1) + " " + message
	}
	c.add(Violation{c.in, c.name, message})
}

// add takes v, unless it is known already: two schemas of an allOf may find
// fault with the same member.
func (c *collector) add(v Violation) {
	if c.full {
		return
	}
	for i := range c.list {
		if c.list[i] == v {
			return
		}
	}
	if len(c.list) == MaxViolations {
		c.list = append(c.list, Violation{In: v.In, Message: "there are more violations than the " + itoa(MaxViolations) + " listed"})
		c.full = true
		return
	}
	c.list = append(c.list, v)
}

// take hands over what was gathered and is empty afterwards.
func (c *collector) take() []Violation {
	list := c.list
	*c = collector{}
	return list
}
