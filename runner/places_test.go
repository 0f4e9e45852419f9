package runner

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestPlacesGoToTheLeastBusy(t *testing.T) {
	p := newPlaces(2)
	a, b := &instance{}, &instance{}
	p.add(a)
	p.add(b)
	taken := map[*instance]int{}
	for range 4 {
		i, err := p.take(time.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		taken[i]++
		if d := taken[a] - taken[b]; d < -1 || d > 1 {
			t.Errorf("%d calls in one process, %d in the other", taken[a], taken[b])
		}
	}
	p.give(b)
	if i, err := p.take(time.Now()); i != b || err != nil {
		t.Errorf("take = %p, %v, want the place that was given back", i, err)
	}
}

func TestPlacesWaitInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(1)
		a := &instance{}
		p.add(a)
		if _, err := p.take(time.Now()); err != nil {
			t.Fatal(err)
		}
		order := make(chan int, 3)
		for n, within := range []time.Duration{time.Hour, time.Minute, time.Hour} {
			go func() {
				_, err := p.take(time.Now().Add(within))
				if n == 1 {
					if !errors.Is(err, errLate) {
						t.Errorf("the second: %v, want that it is late", err)
					}
					return
				}
				if err != nil {
					t.Errorf("number %d: %v", n, err)
				}
				order <- n
			}()
			synctest.Wait()
		}
		<-time.After(2 * time.Minute) // in the bubble: the second one's time is over
		p.give(a)
		if n := <-order; n != 0 {
			t.Errorf("first came number %d", n)
		}
		p.give(a)
		if n := <-order; n != 2 {
			t.Errorf("then came number %d", n)
		}
		p.give(a)
		if a.busy != 0 {
			t.Errorf("%d places are taken", a.busy)
		}
	})
}

// A process that is started again at once is not missed; one that stays away ends
// the wait of those who wait for it, and of those who come later.
func TestPlacesDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(1)
		defer p.close()
		up, down := p.signals()
		if isClosed(up) || isClosed(down) {
			t.Error("it is up, or down, before there was a process")
		}
		a := &instance{}
		p.add(a)
		if !isClosed(up) {
			t.Error("it is not up")
		}
		p.remove(a)
		p.remove(a)
		got := make(chan *instance, 1)
		go func() {
			i, err := p.take(time.Now().Add(time.Hour))
			if err != nil {
				t.Error(err)
			}
			got <- i
		}()
		<-time.After(downGrace - time.Millisecond)
		b := &instance{}
		p.add(b)
		if i := <-got; i != b {
			t.Error("who waited did not get the new process")
		}
		p.give(b)
		<-time.After(time.Hour)
		if isClosed(down) {
			t.Error("it went down although a process came in time")
		}

		p.remove(b)
		failed := make(chan error, 1)
		go func() {
			_, err := p.take(time.Now().Add(time.Hour))
			failed <- err
		}()
		began := time.Now()
		if err := <-failed; !errors.Is(err, errNoProcess) || time.Since(began) != downGrace {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if !isClosed(down) {
			t.Error("it is not down")
		}
		if _, err := p.take(time.Now().Add(time.Hour)); !errors.Is(err, errNoProcess) {
			t.Errorf("take = %v", err)
		}
		p.add(a)
		if up, down := p.signals(); !isClosed(up) || isClosed(down) {
			t.Error("it is not up again")
		}
		if i, err := p.take(time.Now()); i != a || err != nil {
			t.Errorf("take = %v", err)
		}
	})
}

func TestPlaceOfADeadProcessGoesToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(1)
		defer p.close()
		a := &instance{}
		p.add(a)
		if _, err := p.take(time.Now()); err != nil {
			t.Fatal(err)
		}
		failed := make(chan error, 1)
		go func() {
			_, err := p.take(time.Now().Add(time.Hour))
			failed <- err
		}()
		synctest.Wait()
		p.remove(a)
		p.give(a)
		if err := <-failed; !errors.Is(err, errNoProcess) {
			t.Errorf("take = %v", err)
		}
	})
}
