// SPDX-License-Identifier: Apache-2.0 OR MIT

// Says hello on port 7000.
package main

import (
	"io"
	"net"
	"os"
)

func main() {
	listener, err := net.Listen("tcp4", ":7000")
	if err != nil {
		os.Exit(1)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			os.Exit(2)
		}
		go func() {
			defer connection.Close()
			connection.Write([]byte("hello\n"))
			io.Copy(io.Discard, connection)
		}()
	}
}
