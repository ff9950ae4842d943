package main

import (
	"encoding/json"
	"mime"
	"net/http"
	"strings"
	"sync"
)

// wire counts what goes over the wire by method, resource and the media types of question and answer.
type wire struct {
	next   http.RoundTripper
	mutex  *sync.Mutex
	counts map[string]int
}

func (w wire) RoundTrip(request *http.Request) (*http.Response, error) {
	sent := mediaType(request.Header)
	response, err := w.next.RoundTrip(request)
	if err == nil {
		method := request.Method
		if request.URL.Query().Has("watch") {
			method = "WATCH"
		}
		w.mutex.Lock()
		w.counts[strings.Join([]string{method, resource(request.URL.Path), sent, mediaType(response.Header)}, " ")]++
		w.mutex.Unlock()
	}
	return response, err
}

// ServeHTTP answers with the counts so far.
func (w wire) ServeHTTP(answer http.ResponseWriter, _ *http.Request) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	_ = json.NewEncoder(answer).Encode(w.counts)
}

func mediaType(header http.Header) string {
	found, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		return "-"
	}
	return found
}

// resource is the plural, with its subresource, of a path below /api or /apis.
func resource(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	skip := 2
	if parts[0] == "apis" {
		skip = 3
	}
	if len(parts) <= skip {
		return "discovery"
	}
	parts = parts[skip:]
	if parts[0] == "namespaces" && len(parts) > 2 {
		parts = parts[2:]
	}
	if len(parts) > 2 {
		return parts[0] + "/" + parts[2]
	}
	return parts[0]
}
