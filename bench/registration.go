package bench

// Registration is the cost of one ops on many sites.
type Registration struct {
	Engine  string `json:"engine"`
	CallOps bool   `json:"call_ops"`
	Sites   int    `json:"sites"`

	// Wall clock of one operation over all sites, the least of several.
	RegisterNs   int64 `json:"register_ns"`
	UnregisterNs int64 `json:"unregister_ns"`

	// What a site takes beside the kernel's text.
	HostBytes  float64 `json:"host_bytes_per_site"`
	GuestBytes float64 `json:"guest_bytes_per_site"`
}
