// Watches the token file of a mounted Secret, and tells a collector of each new token; where USE is set, it also uses the token
// as a workload would, read anew for each request. No net/http: the program has to fit into a ConfigMap.
package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"time"
)

const patience = 2 * time.Second

var (
	collector = os.Getenv("COLLECTOR")
	pod       = os.Getenv("POD")
	file      = os.Getenv("TOKEN_FILE")
)

// line is a connection to the collector that is made when it is needed.
type line struct {
	conn   net.Conn
	reader *bufio.Reader
}

// send makes one request and reads the head of its answer: an answer has no body.
func (l *line) send(what, token string) error {
	if l.conn == nil {
		conn, err := net.DialTimeout("tcp", collector, patience)
		if err != nil {
			return err
		}
		l.conn, l.reader = conn, bufio.NewReader(conn)
	}
	err := l.exchange("GET /" + what + "/" + pod + " HTTP/1.1\r\nHost: collector\r\nAuthorization: Bearer " + token + "\r\n\r\n")
	if err != nil {
		l.conn.Close()
		l.conn = nil
	}
	return err
}

func (l *line) exchange(request string) error {
	if err := l.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(l.conn, request); err != nil {
		return err
	}
	for {
		text, err := l.reader.ReadString('\n')
		if err != nil || text == "\r\n" {
			return err
		}
	}
}

// watch tells of each new content of the file; what could not be told is told at the next look.
func watch(every time.Duration) {
	var line line
	told := ""
	for range time.Tick(every) {
		token, err := os.ReadFile(file)
		if err == nil && string(token) != told && line.send("seen", string(token)) == nil {
			told = string(token)
		}
	}
}

// use makes requests with whatever the file holds.
func use(every time.Duration) {
	var line line
	for range time.Tick(every) {
		if token, err := os.ReadFile(file); err == nil {
			_ = line.send("use", string(token))
		}
	}
}

func main() {
	if every, err := time.ParseDuration(os.Getenv("USE")); err == nil {
		go use(every)
	}
	every, err := time.ParseDuration(os.Getenv("POLL"))
	if err != nil {
		os.Exit(2)
	}
	watch(every)
}
