"""Does a score predict what training on a target really gives?"""
