package server

import (
	"encoding/json"

	"rebase/auth"
)

// watchCredentials ends what is open by a credential that is withdrawn: connections and streams live longer than the check of their
// credential. The users' own are watchUsers'. It needs the gateways.
func (s *Server) watchCredentials() {
	s.auth.keys.OnWithdrawn(func(root bool) {
		if root {
			s.withdraw(func(id auth.Identity) bool { return id.Project == "" && id.Name != "" })
			return
		}
		// A signing key: it is not known who has shown what it has signed, and whoever has it has signed what he liked.
		s.withdraw(func(id auth.Identity) bool { return id.Project != "" })
	})
	known := map[string]beliefs{} // by project; touched under the database's barrier alone
	s.data.db.Barrier(func(uint64) {
		for _, project := range s.auth.projects.List() {
			known[project] = s.beliefs(project)
		}
		s.auth.projects.OnChange(func(project string) {
			before, after := known[project], s.beliefs(project)
			known[project] = after
			if after == nil {
				delete(known, project)
			}
			services, users := before.lost(after)
			switch {
			case users:
				s.withdraw(func(id auth.Identity) bool { return id.Project == project })
			case services:
				s.withdraw(func(id auth.Identity) bool { return id.Project == project && id.UID == "" })
			}
		})
	})
}

// withdraw revokes what is meant; those whose credential is still good are accepted again. It is called under the database's barrier.
func (s *Server) withdraw(meant func(auth.Identity) bool) {
	// Not here: it takes locks of connections, which may wait for the database.
	go func() {
		s.rtdb.RevokeIf(meant)
		s.rest.RevokeIf(meant)
	}()
}

// beliefs are what a project believes: whose credentials, in which databases. The value says that they are of services alone.
type beliefs map[string]bool

// beliefs returns nil if there is no such project.
func (s *Server) beliefs(project string) beliefs {
	c, ok := s.auth.projects.Config(project)
	if !ok {
		return nil
	}
	b := beliefs{"the project": false, "Firebase's project " + c.FirebaseProject: false}
	for _, a := range c.ServiceAccounts {
		for _, k := range a.Keys {
			b["service account "+a.Email+" "+k.ID] = true
		}
	}
	for _, secret := range c.Secrets {
		b["secret "+secret.ID] = false // tokens of users can be signed with it
	}
	for _, i := range c.Issuers {
		text, err := json.Marshal(i)
		if err != nil { // strings only
			panic(err)
		}
		b["issuer "+string(text)] = false
	}
	for _, ns := range c.Databases {
		b["database "+ns] = false
	}
	return b
}

// lost tells whether something that was believed is not any more, of services alone or of users, too.
func (b beliefs) lost(after beliefs) (services, users bool) {
	for what, ofServices := range b {
		if _, ok := after[what]; !ok {
			services = true
			users = users || !ofServices
		}
	}
	return services, users
}
