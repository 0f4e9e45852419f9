package bind

// skip returns where the value at i ends.
func (w *walker) skip(i int) int {
	start, depth := i, w.depth
	for {
		switch w.body[i] {
		case '"':
			i = w.stringEnd(i)
		case '{', '[':
			if depth++; depth > MaxDepth {
				w.giveUp("is nested more than " + itoa(MaxDepth) + " levels deep")
				return i
			}
			i++
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\t', '\r', '\n':
			i++
			continue // no value ends here
		default:
			i = w.numberEnd(i) // or a literal
		}
		if depth == w.depth {
			w.steps -= (i - start) / 16
			return i
		}
	}
}

// stringEnd returns where the string that begins at i ends, behind its quote.
func (w *walker) stringEnd(i int) int {
	for i++; ; i++ {
		switch w.body[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
}

// numberEnd returns where the number or literal that begins at i ends.
func (w *walker) numberEnd(i int) int {
	for ; i < len(w.body); i++ {
		switch w.body[i] {
		case ',', ']', '}', ' ', '\t', '\r', '\n':
			return i
		}
	}
	return i
}

// space returns where the white space at i ends.
func (w *walker) space(i int) int {
	for i < len(w.body) {
		switch w.body[i] {
		case ' ', '\t', '\r', '\n':
			i++
		default:
			return i
		}
	}
	return i
}
