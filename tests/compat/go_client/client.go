// The Go client of ZooKeeper (github.com/samuel/go-zookeeper), as Debian packages it, against a
// server: go_client 127.0.0.1:2181. Run by go_client_test.py, which starts the server again when it
// reads "# restart the server" here.
package main

import (
	"bytes"
	"fmt"
	"os"
	"sort"
	"sync"
	"time"

	"github.com/samuel/go-zookeeper/zk"
)

const (
	sessionTimeout = 20 * time.Second
	waitMax        = 60 * time.Second
)

var address string

type quiet struct{}

func (quiet) Printf(string, ...interface{}) {}

// A client, and the changes of its state.
type client struct {
	*zk.Conn
	events <-chan zk.Event
}

func connect() client {
	conn, events, err := zk.Connect([]string{address}, sessionTimeout, zk.WithLogger(quiet{}))
	must(err)
	one := client{conn, events}
	one.await(zk.StateHasSession)
	return one
}

// Wait until the session is in this state.
func (one client) await(state zk.State) {
	timeout := time.After(waitMax)
	for {
		select {
		case event := <-one.events:
			if event.Type == zk.EventSession && event.State == state {
				return
			}
		case <-timeout:
			panic(fmt.Sprintf("no %v in time", state))
		}
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func equal(expected, actual interface{}) {
	if fmt.Sprint(expected) != fmt.Sprint(actual) {
		panic(fmt.Sprintf("expected %v, got %v", expected, actual))
	}
}

func next(watch <-chan zk.Event) zk.Event {
	select {
	case event := <-watch:
		must(event.Err)
		return event
	case <-time.After(waitMax):
		panic("no event in time")
	}
}

func create(one client, path string, data string) {
	made, err := one.Create(path, []byte(data), 0, zk.WorldACL(zk.PermAll))
	must(err)
	equal(path, made)
}

func basics() {
	one := connect()
	defer one.Close()
	create(one, "/basics", "1")
	data, stat, err := one.Get("/basics")
	must(err)
	equal("1", string(data))
	equal([]int64{0, 1, 0, 0}, []int64{int64(stat.Version), int64(stat.DataLength),
		int64(stat.NumChildren), stat.EphemeralOwner})
	stat, err = one.Set("/basics", []byte("two"), 0)
	must(err)
	equal(1, stat.Version)
	_, err = one.Set("/basics", nil, 0)
	equal(zk.ErrBadVersion, err)
	create(one, "/basics/b", "")
	create(one, "/basics/a", "")
	names, stat, err := one.Children("/basics")
	must(err)
	sort.Strings(names)
	equal([]string{"a", "b"}, names)
	equal([]int32{2, 2}, []int32{stat.NumChildren, stat.Cversion})
	equal(zk.ErrNotEmpty, one.Delete("/basics", -1))
	_, err = one.Create("/basics", nil, 0, zk.WorldACL(zk.PermAll))
	equal(zk.ErrNodeExists, err)
	must(one.Delete("/basics/a", 0))
	there, _, err := one.Exists("/basics/a")
	must(err)
	equal(false, there)
	_, _, err = one.Get("/basics/a")
	equal(zk.ErrNoNode, err)
	path, err := one.Sync("/basics")
	must(err)
	equal("/basics", path)
}

func ephemerals() {
	one, other := connect(), connect()
	defer other.Close()
	create(other, "/ephemerals", "")
	path, err := one.Create("/ephemerals/s-", nil, zk.FlagEphemeral|zk.FlagSequence,
		zk.WorldACL(zk.PermAll))
	must(err)
	equal("/ephemerals/s-0000000000", path)
	path, err = one.CreateProtectedEphemeralSequential("/ephemerals/p-", nil,
		zk.WorldACL(zk.PermAll))
	must(err)
	_, stat, err := other.Get(path)
	must(err)
	equal(one.SessionID(), stat.EphemeralOwner)
	_, err = other.Create(path+"/child", nil, 0, zk.WorldACL(zk.PermAll))
	equal(zk.ErrNoChildrenForEphemerals, err)
	_, _, watch, err := other.ExistsW(path)
	must(err)
	one.Close()
	equal(zk.EventNodeDeleted, next(watch).Type)
	names, _, err := other.Children("/ephemerals")
	must(err)
	equal(0, len(names))
}

func multis() {
	one := connect()
	defer one.Close()
	results, err := one.Multi(
		&zk.CreateRequest{Path: "/multi", Data: []byte("1"), Acl: zk.WorldACL(zk.PermAll)},
		&zk.SetDataRequest{Path: "/multi", Data: []byte("2"), Version: 0},
		&zk.CheckVersionRequest{Path: "/multi", Version: 1})
	must(err)
	equal("/multi", results[0].String)
	equal(1, results[1].Stat.Version)
	results, err = one.Multi(
		&zk.CreateRequest{Path: "/multi/a", Acl: zk.WorldACL(zk.PermAll)},
		&zk.DeleteRequest{Path: "/multi", Version: 7})
	equal(zk.ErrBadVersion, oneOf(err, results))
	there, _, err := one.Exists("/multi/a")
	must(err)
	equal(false, there)
}

// The error of the transaction, which this client reports with the operation's result.
func oneOf(err error, results []zk.MultiResponse) error {
	if err != nil {
		return err
	}
	for _, result := range results {
		if result.Error != nil {
			return result.Error
		}
	}
	return nil
}

func watches() {
	one, other := connect(), connect()
	defer one.Close()
	defer other.Close()
	there, _, created, err := one.ExistsW("/watched")
	must(err)
	equal(false, there)
	create(other, "/watched", "1")
	equal(zk.EventNodeCreated, next(created).Type)
	_, _, changed, err := one.GetW("/watched")
	must(err)
	_, err = other.Set("/watched", []byte("2"), -1)
	must(err)
	_, err = other.Set("/watched", []byte("3"), -1)
	must(err)
	event := next(changed)
	equal(zk.EventNodeDataChanged, event.Type)
	equal("/watched", event.Path)
	// Not before: this client takes a change of data for its watches of children, too.
	_, _, children, err := one.ChildrenW("/watched")
	must(err)
	create(other, "/watched/a", "")
	equal(zk.EventNodeChildrenChanged, next(children).Type)
	_, more := <-changed
	equal(false, more)
}

func acls() {
	one, other := connect(), connect()
	defer one.Close()
	defer other.Close()
	must(one.AddAuth("digest", []byte("ann:secret")))
	_, err := one.Create("/closed", []byte("x"), 0, zk.DigestACL(zk.PermAll, "ann", "secret"))
	must(err)
	_, _, err = other.Get("/closed")
	equal(zk.ErrNoAuth, err)
	must(other.AddAuth("digest", []byte("ann:secret")))
	data, _, err := other.Get("/closed")
	must(err)
	equal("x", string(data))
	acl, stat, err := other.GetACL("/closed")
	must(err)
	equal(zk.DigestACL(zk.PermAll, "ann", "secret"), acl)
	stat, err = other.SetACL("/closed", zk.WorldACL(zk.PermRead), stat.Aversion)
	must(err)
	equal(1, stat.Aversion)
	_, err = one.Set("/closed", nil, -1)
	equal(zk.ErrNoAuth, err)
}

func locks() {
	const clients, rounds = 3, 10
	setup := connect()
	defer setup.Close()
	inside, entered := 0, 0
	var wait sync.WaitGroup
	failures := make(chan interface{}, clients)
	for i := 0; i < clients; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			defer func() { failures <- recover() }()
			one := connect()
			defer one.Close()
			for round := 0; round < rounds; round++ {
				lock := zk.NewLock(one.Conn, "/lock", zk.WorldACL(zk.PermAll))
				must(lock.Lock())
				inside++
				equal(1, inside)
				entered++
				inside--
				must(lock.Unlock())
			}
		}()
	}
	wait.Wait()
	for i := 0; i < clients; i++ {
		equal(nil, <-failures)
	}
	equal(clients*rounds, entered)
}

func concurrent() {
	const goroutines, each = 100, 20
	one := connect()
	defer one.Close()
	create(one, "/concurrent", "")
	big := bytes.Repeat([]byte("x"), 10000)
	failures := make(chan interface{}, goroutines)
	for i := 0; i < goroutines; i++ {
		go func(i int) {
			defer func() { failures <- recover() }()
			path := fmt.Sprintf("/concurrent/n%d", i)
			create(one, path, "")
			for round := 0; round < each; round++ {
				stat, err := one.Set(path, big[:i*100], int32(round))
				must(err)
				data, read, err := one.Get(path)
				must(err)
				equal(i*100, len(data))
				equal(*stat, *read)
			}
		}(i)
	}
	for i := 0; i < goroutines; i++ {
		equal(nil, <-failures)
	}
}

func word() {
	equal([]bool{true}, zk.FLWRuok([]string{address}, waitMax))
}

func restart() {
	one := connect()
	defer one.Close()
	session := one.SessionID()
	create(one, "/restart", "1")
	_, err := one.Create("/restart/mine", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
	must(err)
	_, _, changed, err := one.GetW("/restart")
	must(err)

	fmt.Println("# restart the server")
	one.await(zk.StateDisconnected)
	one.await(zk.StateHasSession)

	equal(session, one.SessionID())
	_, stat, err := one.Get("/restart/mine")
	must(err)
	equal(session, stat.EphemeralOwner)
	other := connect()
	defer other.Close()
	_, err = other.Set("/restart", []byte("2"), 0)
	must(err)
	event := next(changed)
	equal(zk.EventNodeDataChanged, event.Type)
}

// Whether it did not panic.
func tried(name string, body func()) (good bool) {
	defer func() {
		if failure := recover(); failure != nil {
			fmt.Printf("not ok - %s\n    %v\n", name, failure)
			return
		}
		fmt.Printf("ok - %s\n", name)
		good = true
	}()
	body()
	return
}

func main() {
	address = os.Args[1]
	good := tried("Go's client creates, reads, writes, lists, deletes and syncs", basics)
	good = tried("Go's client's ephemerals go with its session", ephemerals) && good
	good = tried("Go's client's multis commit as one, or not at all", multis) && good
	good = tried("Go's client's watches fire once", watches) && good
	good = tried("Go's client authenticates, reads and sets ACLs, and is kept out", acls) && good
	good = tried("Go's client's locks exclude", locks) && good
	good = tried("Go's client serves 100 goroutines at once", concurrent) && good
	good = tried("Go's client asks whether the server is well", word) && good
	good = tried("Go's client keeps session, ephemerals and watches over a restart", restart) && good
	if !good {
		os.Exit(1)
	}
}
