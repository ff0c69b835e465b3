// Calls an API with the token of a mounted Secret, once a second: go run consume.go URL. Needs nothing but Go.
package main

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"time"
)

var (
	tokenFile = cmp.Or(os.Getenv("TOKEN_FILE"), "/var/run/syniverse/accessToken")
	client    = http.Client{Timeout: 10 * time.Second}
)

// request gives the status of one request with the token that is in the file now.
func request(url string) (int, error) {
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	return response.StatusCode, nil
}

// call does the same, and repeats it once after a 401.
func call(url string) (int, error) {
	status, err := request(url)
	if err == nil && status == http.StatusUnauthorized {
		time.Sleep(time.Second) // a new token may be on its way into the file
		return request(url)
	}
	return status, err
}

func main() {
	for ; ; time.Sleep(time.Second) {
		if status, err := call(os.Args[1]); err != nil {
			fmt.Println(err)
		} else {
			fmt.Println(status)
		}
	}
}
