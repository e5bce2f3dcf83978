
BprobabilityJ(’2¿>‚Ì^7™˜V6D9jQB9s÷r7¦¢‡0ÈÊ3ÑE ?¾<9