// Go's net package on one processor: a goroutine per connection, a bufio.Reader to split lines,
// and one write for the names of one read.
//
// The listener's backlog is the system's (net.core.somaxconn), TCP_NODELAY is Go's default, and
// keep-alive probes are off, because they would cost three system calls for each connection.
//
// Not implemented: deadlines, a limit on connections, checks of names, a drain, counters, logs. A
// name longer than the reader's buffer (4096 bytes) ends its connection.
//
// Build: go build -o greeting main.go
package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"time"
)

const (
	question = "What's your name?"
	greeting = "Welcome!\n" + question
	goodBye  = "Good bye!\n"
)

func main() {
	runtime.GOMAXPROCS(1)
	if len(os.Args) != 2 {
		fmt.Fprintf(os.Stderr, "usage: %s ADDRESS:PORT, such as 127.0.0.1:0\n", os.Args[0])
		os.Exit(2)
	}
	config := net.ListenConfig{KeepAlive: -1}
	listener, err := config.Listen(context.Background(), "tcp4", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot listen:", err)
		os.Exit(1)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	go exitWithStdin()
	for {
		conn, err := listener.Accept()
		if err != nil {
			// Probably out of descriptors: wait for a connection to close.
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go serve(conn)
	}
}

func exitWithStdin() {
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func serve(conn net.Conn) {
	defer conn.Close()
	if _, err := io.WriteString(conn, greeting); err != nil {
		return
	}
	reader := bufio.NewReader(conn)
	var replies []byte
	for {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return
		}
		name := bytes.TrimSuffix(line[:len(line)-1], []byte{'\r'})
		if string(name) == "exit" {
			conn.Write(append(replies, goodBye...))
			return
		}
		replies = append(replies, "Hello "...)
		replies = append(replies, name...)
		replies = append(replies, "!\n"+question...)
		if holdsLine(reader) {
			continue
		}
		if _, err := conn.Write(replies); err != nil {
			return
		}
		replies = replies[:0]
	}
}

// holdsLine returns true if a complete line is buffered.
func holdsLine(reader *bufio.Reader) bool {
	buffered, _ := reader.Peek(reader.Buffered())
	return bytes.IndexByte(buffered, '\n') >= 0
}
